"""Who PostgreSQL runs as: it refuses root."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

with suppress(ImportError):  # where CAN_RUN is false
    import pwd


@dataclass(frozen=True)
class Account:
    """Who PostgreSQL runs as."""

    uid: int  # owner of its files, as seen from outside
    gid: int
    prefix: tuple[str, ...] = ()  # goes before its commands

    @property
    def identity(self) -> dict[str, Any]:
        """What `subprocess.run` needs to become it."""
        becoming = {"user": self.uid, "group": self.gid, "extra_groups": []}
        is_ours = self.uid == os.geteuid()
        return {"cwd": "/"} | ({} if is_ours else becoming)  # our own cwd may be closed to it

    def can_reach(self, *paths: Path) -> bool:
        """Whether it may enter or execute `paths`."""
        try:
            for path in map(str, paths):
                command = [*self.prefix, "test", "-x", path]
                subprocess.run(command, check=True, capture_output=True, **self.identity)
        except (OSError, subprocess.SubprocessError):  # where we may not become it, neither
            return False
        return True

    def own(self, directory: Path) -> None:
        """Put the ownership right where another account started the server last."""
        if directory.stat().st_uid != self.uid:
            for path in (*directory.rglob("*"), directory):  # itself last: it says that all is done
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def accounts() -> list[Account]:
    """Whom to try to run PostgreSQL as, best first: it refuses root, and users without a name.

    Inside a user namespace a process is `nobody`, outside it is still whoever started it, so that
    no permission has to change. Some containers forbid them; there, root becomes `nobody` in full.
    """
    uid, gid = os.geteuid(), os.getegid()
    with suppress(KeyError):
        pwd.getpwuid(uid)  # there is no such user under `docker run --user 12345`
        if uid != 0:
            return [Account(uid, gid)]
    nobody = pwd.getpwnam("nobody")
    mapped = (f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
    in_namespace = Account(uid, gid, ("unshare", "--user", *mapped, "--"))
    return [in_namespace, Account(nobody.pw_uid, nobody.pw_gid)]

"""Choice of the operating system account that runs PostgreSQL, which refuses root."""

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
    """An account, and how to run a command as it."""

    uid: int  # owner of the server's files, as seen outside a namespace
    gid: int
    prefix: tuple[str, ...] = ()  # precedes each command

    @property
    def identity(self) -> dict[str, Any]:
        """Arguments of `subprocess.run` to run as this account."""
        change = {"user": self.uid, "group": self.gid, "extra_groups": []}
        is_ours = self.uid == os.geteuid()
        return {"cwd": "/"} | ({} if is_ours else change)  # it may lack access to our own cwd

    def can_reach(self, *paths: Path) -> bool:
        """Whether the account may enter or execute `paths`."""
        try:
            for path in map(str, paths):
                command = [*self.prefix, "test", "-x", path]
                subprocess.run(command, check=True, capture_output=True, **self.identity)
        except (OSError, subprocess.SubprocessError):  # also: we may not change to the account
            return False
        return True

    def own(self, directory: Path) -> None:
        """Take over ownership if another account started the server last."""
        if directory.stat().st_uid != self.uid:
            for path in (*directory.rglob("*"), directory):  # itself last: it marks completion
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def accounts() -> list[Account]:
    """Accounts to try, best first. PostgreSQL refuses root, and users without a name.

    Inside a user namespace a process is `nobody`, while outside it is still the current user, so
    that no permission has to change. Some containers forbid namespaces; there, root changes to
    `nobody`.
    """
    uid, gid = os.geteuid(), os.getegid()
    with suppress(KeyError):
        pwd.getpwuid(uid)  # fails under `docker run --user 12345`
        if uid != 0:
            return [Account(uid, gid)]
    nobody = pwd.getpwnam("nobody")
    mapped = (f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
    in_namespace = Account(uid, gid, ("unshare", "--user", *mapped, "--"))
    return [in_namespace, Account(nobody.pw_uid, nobody.pw_gid)]

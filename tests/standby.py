"""A standby that streams from a PostgreSQL of the tests."""

import shutil
import subprocess
from pathlib import Path

from app.embedded.files import ENVIRONMENT, free_port
from app.embedded.postgres import _POSTGRES_BIN, EmbeddedPostgres
from tests.tcp_proxy import target


def standby_of(primary: EmbeddedPostgres, url: str, directory: Path) -> EmbeddedPostgres:
    """Copy a running primary; the standby is not started yet.

    Args:
        primary: the server.
        url: of the same.
        directory: of the standby, in a folder that every account may enter.
    """
    host, port = target(url)
    staging = directory.with_name(f"{directory.name}.copy")
    staging.mkdir(mode=0o700)
    account = primary._account()
    account.own(staging)
    copying: list[str | Path] = [
        *account.prefix,
        *(_POSTGRES_BIN / "pg_basebackup", "--pgdata", staging / "data", "--write-recovery-conf"),
        *("--checkpoint=fast", "--no-sync"),
        *("--host", host, f"--port={port}", "--username=postgres"),
    ]
    environment = {**ENVIRONMENT, "PGPASSWORD": primary._password()}
    subprocess.run(copying, env=environment, check=True, capture_output=True, **account.identity)
    (staging / "data").rename(directory)
    staging.rmdir()
    standby = EmbeddedPostgres(directory, {**primary.options, "port": str(free_port())})
    shutil.copy(primary._beside("password"), standby._beside("password"))
    return standby

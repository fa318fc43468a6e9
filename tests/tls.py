"""A self-signed certificate for servers of the tests."""

import os
import subprocess
from pathlib import Path

from tests.debian import program


def self_signed(folder: Path, name: str, alternative: str) -> Path:
    """Make a certificate that is valid for a day, with its key beside it (`….key`).

    Args:
        folder: where it is written.
        name: its common name.
        alternative: its alternative name, such as `DNS:localhost`.
    """
    path = folder / "server.crt"
    openssl = program("openssl")
    options = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 1"
        f" -subj /CN={name} -addext subjectAltName={alternative} -keyout {path}.key -out {path}"
    )
    subprocess.run(
        [openssl.path, *options.split()],
        env=os.environ | openssl.environment,
        check=True,
        capture_output=True,
    )
    return path

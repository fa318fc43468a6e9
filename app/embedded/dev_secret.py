"""Secrets that development makes for itself, in `.local/`."""

import os
import secrets
from pathlib import Path
from tempfile import mkstemp

from app.core.config import SettingsError


def local_secret(path: Path) -> str:
    """The secret kept in `path`, made at the first call: 43 characters, file mode 0600.

    Processes that call at once get the same one: whoever links its file first wins.

    Raises:
        SettingsError: the file cannot be made or read.
    """
    try:
        return _secret(path)
    except OSError as error:
        problem = f"AUTH_SECRET_KEY: set one; none can be kept in {path} ({error.strerror})"
        raise SettingsError([problem]) from error


def _secret(path: Path) -> str:
    if not path.exists():
        # No closed folder: beside the file lies the embedded database, which root runs as nobody.
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
    return path.read_text()

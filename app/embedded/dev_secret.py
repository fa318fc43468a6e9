"""The generated signing key of development, in `.local/`."""

import os
import secrets
from pathlib import Path
from tempfile import mkstemp

from app.core.config import SettingsError


def dev_secret(path: Path) -> str:
    """The secret stored in `path`, generated at the first call: 43 characters, file mode 0600.

    Processes that call at once get the same one: the first to link its file wins.

    Raises:
        SettingsError: the file cannot be created or read.
    """
    try:
        return _secret(path)
    except OSError as error:
        problem = f"AUTH_SECRET_KEY: set one; none can be stored in {path} ({error.strerror})"
        raise SettingsError([problem]) from error


def _secret(path: Path) -> str:
    if not path.exists():
        # Default mode: the folder also holds the embedded database, which root runs as `nobody`.
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

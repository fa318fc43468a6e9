"""A PostgreSQL whose databases may speak Turkish, in which the lower case of I is not i.

The server of the tests is built without ICU; the C library has the same rules.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import asyncpg
from sqlalchemy import make_url

from app.embedded import postgres
from app.embedded.files import ENVIRONMENT
from app.embedded.postgres import EmbeddedPostgres
from tests.debian import unpacked

_SOURCES = Path("/usr/share/i18n")


@contextmanager
def turkish_server() -> Iterator[str]:
    """A server of its own; yields the URL of a database there that speaks no language."""
    with TemporaryDirectory(prefix="turkish-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        _make_locale(place / "locales")
        environment = {**ENVIRONMENT, "LOCPATH": str(place / "locales")}
        with (
            patch.object(postgres, "ENVIRONMENT", environment),
            EmbeddedPostgres(place / "postgres", {"fsync": "off"}) as url,
        ):
            yield url


def _make_locale(folder: Path) -> None:
    is_here = (_SOURCES / "locales" / "tr_TR").exists()
    sources = _SOURCES if is_here else unpacked("locales") / "usr" / "share" / "i18n"
    folder.mkdir()
    subprocess.run(
        ["localedef", "-i", "tr_TR", "-f", "UTF-8", folder / "tr_TR.UTF-8"],
        env={"I18NPATH": str(sources), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )


async def new_turkish_database(server: str, name: str) -> str:
    """An empty one; its URL.

    Args:
        server: as `turkish_server` yields it.
        name: of the database.
    """
    admin = await asyncpg.connect(server)
    try:
        await admin.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"
            " LOCALE_PROVIDER libc LOCALE 'tr_TR.UTF-8'"
        )
    finally:
        await admin.close()
    return make_url(server).set(database=name).render_as_string(hide_password=False)

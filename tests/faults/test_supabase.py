"""Supabase's rules: a pooler that takes TLS and nothing else. A PgBouncer stands in for theirs."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import certifi
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError

from app.core.config import DatabaseSettings, Settings
from app.core.exceptions import AppException
from app.database import ping
from app.database.errors import connection_failure
from tests.conftest import Servers, browsing, running
from tests.databases import engine_of
from tests.pgbouncer import pgbouncer
from tests.tls import self_signed


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key beside it."""
    return self_signed(tmp_path_factory.mktemp("tls"), "127.0.0.1", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def supabase(servers: Servers, settings: Settings, certificate: Path) -> Iterator[Settings]:
    """Like Supabase: a pooler that takes TLS and nothing else."""
    with TemporaryDirectory(prefix="backend-api-") as folder:
        # Beside its other files, since pytest's own folder is closed to nobody.
        public = shutil.copy(certificate, folder)
        private = shutil.copy(certificate.with_suffix(".crt.key"), folder)
        tls = {
            "client_tls_sslmode": "require",
            "client_tls_cert_file": public,
            "client_tls_key_file": private,
        }
        with pgbouncer(servers.direct, Path(folder), **tls) as url:
            named = {"url": SecretStr(url), "provider": "supabase", "pooler": "transaction"}
            yield settings.replaced(database=named)


def asking(settings: Settings, provider: str, sslmode: str) -> DatabaseSettings:
    assert settings.database.url is not None
    url = SecretStr(f"{settings.database.url.get_secret_value()}?sslmode={sslmode}")
    return settings.database.model_copy(update={"url": url, "provider": provider})


async def test_health_names_supabase_which_is_reached_by_tls(app, supabase):
    async with running(supabase) as pooled, browsing(pooled) as visitor:
        health = (await visitor.get("/health")).json()

    assert health["checks"]["database"]["status"] == "healthy"
    assert health["checks"]["database"]["provider"] == "supabase"


async def test_that_pooler_refuses_connections_without_tls(supabase):
    async with engine_of(asking(supabase, "postgresql", "disable")) as engine:
        with pytest.raises(DBAPIError, match="SSL required"):
            await ping(engine)


async def test_its_certificate_is_verified_where_the_url_says_so(
    supabase, certificate, monkeypatch
):
    database = asking(supabase, "supabase", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", certifi.where())
    async with engine_of(database) as engine:
        with pytest.raises(AppException):
            await ping(engine)

    monkeypatch.setenv("PGSSLROOTCERT", str(certificate))

    async with engine_of(database) as engine:
        await ping(engine)


async def test_c16_a_urls_own_root_certificate_verifies_in_full(supabase, certificate):
    query = f"verify-full&sslrootcert={certificate}"
    async with engine_of(asking(supabase, "postgresql", query)) as engine:
        await ping(engine)


@pytest.mark.parametrize("root", [certifi.where(), "system"])
async def test_c16_a_certificate_of_another_authority_is_refused(supabase, root):
    query = f"verify-full&sslrootcert={root}"
    async with engine_of(asking(supabase, "postgresql", query)) as engine:
        with pytest.raises(AppException) as caught:
            await ping(engine)

    assert "certificate is not trusted" in (connection_failure(caught.value) or "")

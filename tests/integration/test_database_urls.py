"""C16: what a DATABASE_URL asks for, on a real server."""

import asyncio
import socket
import time
from collections.abc import Iterator

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.config import DatabaseSettings, Settings
from app.core.exceptions import ServiceUnavailableException
from app.database import ping
from app.database.failures import connection_failure
from tests.conftest import Servers, running
from tests.databases import engine_of

pytestmark = pytest.mark.direct


@pytest.fixture
def closed() -> Iterator[int]:
    """A port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def frozen() -> Iterator[int]:
    """A port where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def port(servers: Servers) -> int:
    return int(servers.direct.rpartition(":")[2].partition("/")[0])


@pytest.fixture
def told(settings: Settings, servers: Servers):
    """Settings with a query, or other hosts, in the URL."""

    def told(query: str = "", hosts: str = "", **more: object) -> DatabaseSettings:
        credentials, _, place = servers.direct.rpartition("@")
        host, _, name = place.partition("/")
        url = SecretStr(f"{credentials}@{hosts or host}/{name}?{query}")
        return settings.database.model_copy(update={"url": url, **more})

    return told


async def shown(database: DatabaseSettings, setting: str) -> str:
    async with engine_of(database) as engine, engine.connect() as connection:
        return str(await connection.scalar(text(f"SHOW {setting}")))


@pytest.mark.parametrize(
    ("query", "setting", "value"),
    [
        ("", "application_name", "backend-api"),
        ("application_name=shop", "application_name", "shop"),
        ("options=-c%20search_path%3Dshop,public", "search_path", "shop,public"),
        ("schema=Shop", "search_path", '"Shop"'),
        ("options=-c%20statement_timeout%3D1", "statement_timeout", "25s"),
        ("options=-c%20lock_timeout%3D3s&connect_timeout=10", "lock_timeout", "3s"),
    ],
)
@pytest.mark.parametrize("pooler", ["none", "session", "transaction"])
async def test_c16_settings_of_the_server_are_those_of_the_url(told, query, setting, value, pooler):
    assert await shown(told(query, pooler=pooler), setting) == value


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable",
        "sslmode=allow",
        "sslmode=prefer",
        "ssl=false",
        "supa=base-pooler.x&pgbouncer=true&connection_limit=1&schema=public",
        "target_session_attrs=read-write",
        "target_session_attrs=primary&connect_timeout=1",
        "target_session_attrs=prefer-standby",
        "channel_binding=prefer&gssencmode=disable&keepalives=1&keepalives_idle=30",
    ],
)
async def test_c16_a_server_without_tls_is_reached(told, query):
    async with engine_of(told(query)) as engine:
        await ping(engine)


async def test_c16_the_second_host_is_reached_where_the_first_is_closed(told, closed, port):
    hosts = f"127.0.0.1:{closed},127.0.0.1:{port}"

    async with engine_of(told("target_session_attrs=read-write", hosts)) as engine:
        await ping(engine)


async def test_c16_a_frozen_host_does_not_use_up_the_time_of_the_next(told, frozen, port):
    hosts = f"127.0.0.1:{frozen},127.0.0.1:{port}"
    began = time.monotonic()

    async with engine_of(told("connect_timeout=1&sslmode=disable", hosts)) as engine:
        await ping(engine)

    assert 0.9 < time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("target_session_attrs=read-only", "no server is what target_session_attrs asks for"),
        ("sslmode=require", "sslmode asks for TLS, which the server does not offer"),
        ("sslmode=verify-full&sslrootcert=system", "sslmode asks for TLS"),
        ("sslmode=verify-full", "root certificate file"),
    ],
)
async def test_c16_what_the_server_is_not_is_a_sentence(told, monkeypatch, query, reason):
    monkeypatch.setenv("HOME", "/nowhere")
    async with engine_of(told(query)) as engine:
        with pytest.raises((ServiceUnavailableException, DBAPIError)) as caught:
            await ping(engine)

    assert reason in (connection_failure(caught.value) or "")


async def test_c16_a_start_names_what_it_ignores_and_shows_no_value(settings, told, capsys):
    database = {"url": told("supa=hunter2&options=-c%20jit%3Dhunter2").url}
    async with running(settings.replaced(database=database)):
        pass

    output = capsys.readouterr().out
    assert output.count("DATABASE_URL: jit is ignored: it is always off") == 1
    assert output.count("DATABASE_URL: supa is ignored") == 1
    assert "hunter2" not in output


async def test_c16_a_password_comes_from_a_passfile(told, servers, port, tmp_path):
    user, _, password = servers.direct.partition("//")[2].rpartition("@")[0].partition(":")
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"127.0.0.1:{port}:*:{user}:{password}\n")
    passfile.chmod(0o600)
    url = SecretStr(f"postgresql://{user}@127.0.0.1:{port}/app?passfile={passfile}")

    async with engine_of(told().model_copy(update={"url": url})) as engine:
        await ping(engine)


async def test_a_connection_that_is_given_up_leaves_none_behind(told, servers, frozen, port):
    """Tried hosts are closed, whether they fit or not."""
    hosts = f"127.0.0.1:{port},127.0.0.1:{port}"
    name = "target_session_attrs=standby&application_name=seeking"
    async with engine_of(told(name, hosts)) as engine:
        with pytest.raises(DBAPIError):
            await ping(engine)
    await asyncio.sleep(0.2)
    admin = await asyncpg.connect(servers.direct)
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seeking'"

    assert await admin.fetchval(query) == 0
    await admin.close()

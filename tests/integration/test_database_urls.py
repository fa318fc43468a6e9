"""C16: what a DATABASE_URL asks for, on a real server."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.config import DatabaseSettings, Settings
from app.core.exceptions import ServiceUnavailableException
from app.database import ping
from app.database.errors import connection_failure
from app.database.servers.hosts import HEAD_START
from tests.conftest import Servers, browsing, running
from tests.databases import engine_of

pytestmark = pytest.mark.direct


@pytest.fixture
def closed() -> Iterator[int]:
    """A port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def frozen() -> Iterator[socket.socket]:
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def accepted(listener: socket.socket) -> int:
    """How many connections it has since it was asked last."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


@pytest.fixture
def unreachable() -> Iterator[socket.socket]:
    """A server whose queue is full: it does not answer the first packet of a connection."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener


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


@pytest.mark.parametrize("kind", ["frozen", "unreachable"])
@pytest.mark.parametrize("query", ["sslmode=disable", "target_session_attrs=read-write"])
async def test_f11_a_host_that_does_not_answer_uses_up_no_time(request, told, port, kind, query):
    """F11: the next was tried after `connect_timeout`, 5 s by default."""
    first = request.getfixturevalue(kind).getsockname()[1]
    began = time.monotonic()

    async with engine_of(told(query, f"127.0.0.1:{first},127.0.0.1:{port}")) as engine:
        await ping(engine)

    assert time.monotonic() - began < HEAD_START + 2


async def test_f11_a_host_that_does_not_answer_is_tried_last_from_then_on(told, frozen, port):
    """F11: each new connection waited for it."""
    hosts = f"127.0.0.1:{frozen.getsockname()[1]},127.0.0.1:{port}"
    async with engine_of(told("sslmode=disable", hosts)) as engine:
        await ping(engine)
        assert accepted(frozen) == 1
        connections = [await engine.connect() for _ in range(3)]
        for connection in connections:
            await connection.close()

    assert accepted(frozen) == 0


async def test_f11_health_finds_the_second_host(settings, told, frozen, port):
    """F11: its 0.9 s went to the first."""
    hosts = f"127.0.0.1:{frozen.getsockname()[1]},127.0.0.1:{port}"
    own = settings.replaced(database={"url": told("", hosts).url})
    async with running(own) as app, browsing(app) as client:
        health = (await client.get("/health")).json()["checks"]["database"]

    assert health["status"] == "healthy"


async def test_f11_where_no_host_answers_it_takes_the_time_of_one(told, frozen):
    hosts = ",".join([f"127.0.0.1:{frozen.getsockname()[1]}"] * 4)
    began = time.monotonic()
    async with engine_of(told("connect_timeout=1", hosts)) as engine:
        with pytest.raises(ServiceUnavailableException):
            await ping(engine)

    assert time.monotonic() - began < 1 + 3 * HEAD_START + 1


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("target_session_attrs=read-only", "no server matches target_session_attrs"),
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


async def test_a_connection_that_is_given_up_leaves_none_behind(told, servers, port):
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


async def test_a_connection_that_is_lost_while_it_is_set_up_is_a_refusal_that_callers_know(
    told, monkeypatch
):
    """It was an error of the driver's own, and a 500."""
    set_type_codec = asyncpg.Connection.set_type_codec

    async def lose(connection: asyncpg.Connection, *arguments: Any, **options: Any) -> None:
        connection.terminate()
        await set_type_codec(connection, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", lose)
    async with engine_of(told()) as engine:
        with pytest.raises(ServiceUnavailableException):
            await ping(engine)

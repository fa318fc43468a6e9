"""Users as a file: all of them, in little memory, and nothing left behind by whoever goes away."""

import asyncio
import codecs
import csv
import json
import re
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.exceptions import RequestTimeoutException, ServiceUnavailableException
from app.runtime import Runtime
from app.schemas.user import UserSchema
from app.schemas.user_list import UserFilters
from app.services import export
from tests.conftest import Person, Servers
from tests.integration.test_dashboard_page import PAGE, browser, log_in
from tests.people import COMBINATIONS, expected, sent
from tests.polling import within_async
from tests.process import instance

__all__ = ["browser"]
COLUMNS = list(UserSchema.model_fields)
EXPORTS_AT_WORK = text(
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FROM users ORDER BY%'"
    " AND state <> 'idle' AND pid <> pg_backend_pid()"
)


async def add_users(runtime: Runtime, count: int) -> None:
    """Each takes about 300 bytes of a file."""
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO users (email, username, full_name, hashed_password)"
                " SELECT n || '@example.com', 'user' || n, repeat('x', 150), ''"
                f" FROM generate_series(1, {count}) n"
            )
        )


async def exports_at_work(runtime: Runtime) -> int:
    async with runtime.engine.connect() as connection:
        return await connection.scalar(EXPORTS_AT_WORK) or 0


async def none_is_left(runtime: Runtime) -> bool:
    """Whether every export has ended, soon."""

    async def have_ended() -> bool:
        return await exports_at_work(runtime) == 0

    return await within_async(10, have_ended)


def rows_of(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(file, newline="")))


@pytest.mark.parametrize("search", ["", "ada", "%"])
async def test_a_file_holds_what_the_list_holds(root, everybody, search):
    for combination in COMBINATIONS:
        filters = {**combination, "search": search}

        as_csv = await root.get("/users/export", params=sent(**filters))
        as_json = await root.get("/users/export", params={**sent(**filters), "format": "ndjson"})

        lines = [json.loads(line) for line in as_json.text.splitlines()]
        assert [user["id"] for user in lines] == expected(everybody, **filters)
        assert [int(row["id"]) for row in rows_of(as_csv.text)] == expected(everybody, **filters)


async def test_a_line_of_json_is_what_the_api_says_of_the_user(root, everybody):
    response = await root.get("/users/export", params={"format": "ndjson"})

    lines = [json.loads(line) for line in response.text.splitlines()]
    listed = (await root.get("/users", params={"size": 100})).json()["items"]
    assert lines == listed


async def test_a_row_of_csv_has_every_field_as_text(root):
    await root.patch("/users/me", json={"full_name": 'Ada "the first", Countess'})

    response = await root.get("/users/export")

    (row,) = rows_of(response.text)
    me = (await root.get("/users/me")).json()
    assert list(row) == COLUMNS
    assert row["full_name"] == 'Ada "the first", Countess'
    assert row["is_active"] == "true"
    assert row["created_at"].replace("+00:00", "Z") == me["created_at"]
    assert response.text.endswith("\r\n")


async def test_an_export_without_matches_has_only_a_heading(root):
    nobody = {"search": "nobody at all"}

    as_csv = await root.get("/users/export", params=nobody)
    as_json = await root.get("/users/export", params={**nobody, "format": "ndjson"})

    assert as_csv.text == ",".join(COLUMNS) + "\r\n"
    assert as_json.text == ""


async def test_a_csv_begins_with_a_byte_order_mark_on_request(root):
    """C21: Excel takes a file without one for its country's old encoding."""
    await root.patch("/users/me", json={"full_name": "Jörg"})

    plain = await root.get("/users/export")
    marked = await root.get("/users/export?bom=true")
    refused = await root.get("/users/export?bom=true&format=ndjson")

    assert marked.content == codecs.BOM_UTF8 + plain.content
    assert not plain.content.startswith(codecs.BOM_UTF8)
    assert refused.status_code == 422
    assert [detail["field"] for detail in refused.json()["details"]] == ["bom"]


async def test_the_pages_file_is_for_spreadsheets(root, browser):
    """C21"""
    await log_in(browser, root)

    response = await browser.get(f"{PAGE}/users/export?search=root")

    assert response.content.startswith(codecs.BOM_UTF8 + b"id,email,")


async def test_a_formula_behind_a_separator_is_defused_too(root):
    """S15"""
    await root.patch("/users/me", json={"full_name": "z;=2*21;y"})

    response = await root.get("/users/export")

    cells = next(csv.reader(StringIO(response.text.splitlines()[1]), delimiter=";"))
    assert "'=2*21" in cells
    assert not any(cell.startswith("=") for cell in cells)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
async def test_a_formula_is_defused_for_spreadsheets_and_kept_in_json(root, start):
    name = f"{start}HYPERLINK(A1)"
    await root.patch("/users/me", json={"full_name": name})

    as_csv = await root.get("/users/export")
    as_json = await root.get("/users/export", params={"format": "ndjson"})

    assert rows_of(as_csv.text)[0]["full_name"] == f"'{name}"
    assert json.loads(as_json.text)["full_name"] == name


@pytest.mark.parametrize("start", ["\t", "\r", "\n"])
async def test_a_formula_behind_a_control_character_is_defused_as_well(root, runtime, start):
    async with runtime.engine.begin() as connection:  # the API itself lets nobody be called so
        await connection.execute(text("UPDATE users SET full_name = :n"), {"n": f"{start}=1+1"})

    response = await root.get("/users/export")

    assert rows_of(response.text)[0]["full_name"] == f"'{start}'=1+1"


@pytest.mark.parametrize(
    ("file_format", "media_type"),
    [("csv", "text/csv; charset=utf-8"), ("ndjson", "application/x-ndjson")],
)
async def test_a_browser_saves_it_under_a_name(root, file_format, media_type):
    response = await root.get("/users/export", params={"format": file_format})

    name = rf'attachment; filename="users-\d{{8}}T\d{{6}}Z\.{file_format}"'
    assert re.fullmatch(name, response.headers["content-disposition"])
    assert response.headers["content-type"] == media_type
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        "format=xlsx",
        "format=",
        "sort_by=hashed_password",
        "is_active=x",
        "search=%00",
        "search=%ff",
    ],
)
async def test_an_export_that_makes_no_sense_is_a_422(root, query):
    response = await root.get(f"/users/export?{query}")

    assert response.status_code == 422
    assert response.json()["details"][0]["field"] == query.partition("=")[0]


async def test_all_rows_are_of_the_moment_it_began(root, runtime):
    await add_users(runtime, 3 * export.EXPORT_BATCH)
    async with aclosing(runtime.exports.users(UserFilters(), "ndjson")) as parts:
        first = await anext(parts)
        async with runtime.engine.begin() as connection:
            await connection.execute(text("DELETE FROM users WHERE id <> 1"))

        rest = [part async for part in parts]

    assert b"".join([first, *rest]).count(b"\n") == 3 * export.EXPORT_BATCH + 1


async def test_no_more_than_a_batch_is_held_however_many_there_are(root, runtime):
    await add_users(runtime, 40 * export.EXPORT_BATCH)

    written, largest = 0, 0
    tracemalloc.start()
    async with aclosing(runtime.exports.users(UserFilters(), "csv")) as parts:
        async for part in parts:
            written, largest = written + len(part), max(largest, part.count(b"\n"))
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert largest <= export.EXPORT_BATCH + 1
    # A quarter, whatever else the process takes meanwhile; the rows are three times the file.
    assert held < written


@pytest.fixture
async def busy(root: Person, runtime: Runtime) -> AsyncIterator[None]:
    """As many exports as may, none of which ends."""
    await add_users(runtime, 3 * export.EXPORT_BATCH)
    async with AsyncExitStack() as stack:
        for _ in range(runtime.settings.users.exports_max):
            parts = runtime.exports.users(UserFilters(), "csv")
            await stack.enter_async_context(aclosing(parts))
            await anext(parts)
        yield


async def test_an_export_beyond_the_limit_is_a_503_and_affects_no_other(root, runtime, busy):
    refused = await root.get("/users/export")
    listed = await root.get("/users")

    assert refused.status_code == 503
    assert "retry-after" in refused.headers
    assert "content-disposition" not in refused.headers
    assert listed.status_code == 200
    assert runtime.engine.pool.checkedout() == 0


async def test_an_export_that_is_given_up_leaves_its_place_to_the_next(root, runtime):
    await add_users(runtime, 3 * export.EXPORT_BATCH)
    for _ in range(2 * runtime.settings.users.exports_max):
        async with aclosing(runtime.exports.users(UserFilters(), "csv")) as parts:
            await anext(parts)

    assert await none_is_left(runtime)
    assert (await root.get("/users/export")).status_code == 200


async def test_an_export_takes_no_longer_than_it_may(root, runtime, monkeypatch):
    await add_users(runtime, 3 * export.EXPORT_BATCH)
    monkeypatch.setattr(export, "TIME_LIMIT", 0.0)

    with pytest.raises(RequestTimeoutException):
        async for _ in runtime.exports.users(UserFilters(), "csv"):
            pass

    assert await none_is_left(runtime)


async def test_an_export_during_which_the_database_fails_is_truncated(root, runtime, logged):
    await add_users(runtime, 3 * export.EXPORT_BATCH)
    parts = runtime.exports.users(UserFilters(), "csv")
    await anext(parts)
    async with runtime.engine.connect() as connection:
        at_work = str(EXPORTS_AT_WORK).replace("count(*)", "pg_terminate_backend(pid)")
        await connection.execute(text(at_work))

    # While it fetches from a cursor, SQLAlchemy may let the driver's own error through: a 500.
    with pytest.raises((DBAPIError, ServiceUnavailableException)):
        async for _ in parts:
            pass

    (line,) = [line for line in logged() if line["event"] == "exported"]
    assert line["complete"] is False


async def test_an_export_is_written_into_the_log(root, logged):
    await root.get("/users/export", params={"format": "ndjson"})

    (line,) = [line for line in logged() if line["event"] == "exported"]
    assert line["rows"] == 1
    assert line["format"] == "ndjson"
    assert line["complete"] is True


@pytest.fixture
def impatient_port(servers: Servers, tmp_path: Path) -> Iterator[int]:
    """The port of a server that waits two seconds for a client, on the same database."""
    with instance(servers, tmp_path, SERVER_REQUEST_TIMEOUT="2") as served:
        yield served.port


def asking(port: int, root: Person) -> socket.socket:
    """A connection on which an export has begun, and more is to come than fits on the way."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", port))
    connection.sendall(
        b"GET /api/v1/users/export HTTP/1.1\r\nHost: test\r\n"
        b"Authorization: Bearer %b\r\n\r\n" % root.tokens["access_token"].encode()
    )
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


async def test_a_client_that_goes_away_leaves_nothing_behind(impatient_port, root, runtime):
    await add_users(runtime, 40_000)
    connection = await asyncio.to_thread(asking, impatient_port, root)
    assert await exports_at_work(runtime) == 1

    connection.close()

    assert await none_is_left(runtime)


async def test_a_client_that_stops_reading_is_cut_off(impatient_port, root, runtime):
    await add_users(runtime, 40_000)
    connection = await asyncio.to_thread(asking, impatient_port, root)
    assert await exports_at_work(runtime) == 1

    assert await none_is_left(runtime)  # while the connection is open

    with connection:
        received = await asyncio.to_thread(read_to_end, connection)
    assert not received.endswith(b"\r\n0\r\n\r\n")  # as a file does that is complete


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received

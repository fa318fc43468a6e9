"""P5, P6 and P9 at `LARGEST` users: searches, pages far from the start, and an export of all."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import psutil
from sqlalchemy import text

from app.core.security.signing import CursorSigner, Position
from app.database import close_engine, get_engine
from app.schemas.user_list import UserFilters
from benchmarks import load
from benchmarks.instance import LARGEST, Instance, application, servers, settings_for
from benchmarks.report import Figure
from benchmarks.rows.lists import page

DEPTH = LARGEST // 2
SECRET = "a secret that lives for a benchmark"  # noqa: S105  # as it says
RARE = ("12345", "nobody at all", "lovelace9", "ada lovelace", "lovelace")
FREQUENT = ("example", "com", "ann", "mari", "son")
BOUNDED: tuple[dict[str, str], ...] = (
    *({"search": word} for word in ("a", "zz", "--")),
    {"search": "lovelace", "sort_by": "username"},
    {"search": "corp", "sort_by": "email", "sort_order": "asc"},
    *({"page": page} for page in ("400", "20000", "90000")),
    *({"page": page, "sort_by": "username"} for page in ("400", "20000")),
    *({"seen_within": period} for period in ("today", "90d")),
    *({"not_seen_for": period} for period in ("90d", "365d", "ever")),
    {"not_seen_for": "365d", "search": "lovelace"},
)
"""Short searches, names that are late in an order, pages far from the start, and the last use."""


def measure(runs: int) -> Iterator[Figure]:
    """One after the other, on the same users; above a million, without the export."""
    with servers() as own:
        for users in (10_000, LARGEST):
            with application(own, users, AUTH_SECRET_KEY=SECRET) as service:
                yield from _searches(service, users, runs)
        with application(own, LARGEST, AUTH_SECRET_KEY=SECRET) as service:
            yield from _bounds(service, runs)
            yield from _depth(service, asyncio.run(_cursor(own.database(LARGEST))), runs)
            if LARGEST <= 1_000_000:
                yield from _export(service, runs)


def _searches(service: Instance, users: int, runs: int) -> Iterator[Figure]:
    for kind, words in (("rare", RARE), ("frequent", FREQUENT)):
        for word in words:
            request = load.get(page(search=word), service.token)
            # What is not in memory may take too long, and is then refused.
            load.run(service.port, [request], connections=1, seconds=1).expect(200, 422)
            seconds = [_median(service, request) * 1000 for _ in range(runs)]
            yield Figure("P5", f"{kind} search of {users:,}, {word!r}", seconds, "ms", most=50)


def _bounds(service: Instance, runs: int) -> Iterator[Figure]:
    """The slowest answer of each, the first included: nothing of it was read before."""
    for parameters in BOUNDED:
        request = load.get(page(**parameters), service.token)
        answered = [
            load.run(service.port, [request], connections=1, seconds=1).expect(200, 422)
            for _ in range(runs)
        ]
        seconds = [max(one.latencies) * 1000 for one in answered]
        status = ", ".join(sorted({str(status) for one in answered for status in one.statuses}))
        name = f"slowest of {LARGEST:,}, {urlencode(parameters)}"
        yield Figure("P5b", name, seconds, "ms", most=500, note=f"status {status}")


def _depth(service: Instance, cursor: str, runs: int) -> Iterator[Figure]:
    path = "/api/v1/users/cursor?size=50"
    first = load.get(path, service.token)
    deep = load.get(f"{path}&cursor={cursor}", service.token)
    seconds, ratios = [], []
    for _ in range(runs):
        shallow = _median(service, first)
        seconds.append(_median(service, deep) * 1000)
        ratios.append(seconds[-1] / 1000 / shallow)
    yield Figure("P6", f"page by cursor at depth {DEPTH:,}", seconds, "ms")
    yield Figure("P6", "against the first page", ratios, most=1.5)


def _median(service: Instance, request: bytes) -> float:
    """Seconds; one answer in twenty may be a refusal, on a machine that others use too."""
    answered = load.run(service.port, [request], connections=1, seconds=1).expect(200, 422)
    if answered.statuses[422] > answered.statuses[200] / 20:
        raise RuntimeError(f"refused: {answered.statuses}")
    return answered.quantile(50)


async def _cursor(database: str) -> str:
    query = text("SELECT created_at, id FROM users ORDER BY 1 DESC, 2 DESC LIMIT 1 OFFSET :depth")
    engine = get_engine(settings_for(database).database)
    async with engine.connect() as connection:
        moment, number = (await connection.execute(query, {"depth": DEPTH})).one()
    await close_engine(engine)
    position = Position(moment.isoformat(), number)
    return CursorSigner(SECRET).sign(position, UserFilters().model_dump_json())


def _export(service: Instance, runs: int) -> Iterator[Figure]:
    for file_format in ("csv", "ndjson"):
        risen, seconds = [], []
        for _ in range(runs):
            idle, began = service.resident, time.perf_counter()
            with _peak(service.process) as seen:
                asyncio.run(_download(service, f"/api/v1/users/export?format={file_format}"))
            seconds.append(time.perf_counter() - began)
            risen.append((max(seen) - idle) / 2**20)
        yield Figure("P9", f"memory above idle, {file_format}", risen, "MiB", most=50)
        yield Figure("P9", f"export of a million, {file_format}", seconds, "s")


async def _download(service: Instance, path: str) -> None:
    """To its end, and keep nothing.

    Raises:
        RuntimeError: the file was cut off.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    request = load.get(path, service.token).removesuffix(b"\r\n")
    writer.write(request + b"Connection: close\r\n\r\n")
    last = b""
    while part := await reader.read(2**18):
        last = (last + part)[-16:]
    writer.close()
    if not last.endswith(b"\r\n0\r\n\r\n"):
        raise RuntimeError("the file has no end")


@contextmanager
def _peak(process: psutil.Process) -> Iterator[list[int]]:
    """Bytes of memory, every 20 ms while the block runs."""
    seen, is_over = [process.memory_info().rss], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()

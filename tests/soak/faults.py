"""The faults of a soak. Each is active within its block, and mended at the end of it."""

import asyncio
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from urllib.parse import urlsplit

import psutil

from app.embedded.files import free_port
from tests.polling import within_async
from tests.process import workers
from tests.soak.service import Service
from tests.tcp_proxy import TcpProxy

Break = Callable[[Service], AbstractAsyncContextManager[None]]

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'backend-api'"
)
BODY = (
    b"POST /api/v1/auth/refresh HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n"
)
REPEAT = 0.3
"""Seconds between two of what is done over and over within a fault."""


@asynccontextmanager
async def _repeated(act: Callable[[], object]) -> AsyncIterator[None]:
    """Do something over and over within the block: a function, or a coroutine function."""

    async def repeat() -> None:
        while True:
            result = act()
            if asyncio.iscoroutine(result):
                await result
            await asyncio.sleep(REPEAT)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        is_failed = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not is_failed


async def _execute(service: Service, *statements: str) -> None:
    async with service.backing.postgres.connected() as connection:
        for statement in statements:
            await connection.execute(statement)


@asynccontextmanager
async def backends_terminated(service: Service) -> AsyncIterator[None]:
    async with _repeated(lambda: _execute(service, TERMINATE)):
        yield


def _down(how: signal.Signals) -> Break:
    @asynccontextmanager
    async def down(service: Service) -> AsyncIterator[None]:
        await service.backing.postgres.stop(how)
        try:
            yield
        finally:
            await service.backing.postgres.start()

    return down


def _frozen(proxy: Callable[[Service], TcpProxy]) -> Break:
    @asynccontextmanager
    async def frozen(service: Service) -> AsyncIterator[None]:
        proxy(service).freeze()
        try:
            yield
        finally:
            proxy(service).thaw()

    return frozen


def _late(proxy: Callable[[Service], TcpProxy], seconds: float) -> Break:
    @asynccontextmanager
    async def late(service: Service) -> AsyncIterator[None]:
        proxy(service).latency = seconds
        try:
            yield
        finally:
            proxy(service).latency = 0.0

    return late


@asynccontextmanager
async def read_only(service: Service) -> AsyncIterator[None]:
    reload = "SELECT pg_reload_conf()"
    await _execute(service, "ALTER SYSTEM SET default_transaction_read_only = on", reload)
    try:
        yield
    finally:
        await _execute(service, "ALTER SYSTEM RESET default_transaction_read_only", reload)


@asynccontextmanager
async def users_locked(service: Service) -> AsyncIterator[None]:
    async with service.backing.postgres.users_locked():
        yield


@asynccontextmanager
async def column_changed(service: Service) -> AsyncIterator[None]:
    change = "ALTER TABLE users ALTER full_name TYPE varchar({})"
    try:
        async with _repeated(lambda: _execute(service, *map(change.format, (300, 200)))):
            yield
    finally:
        await _execute(service, change.format(200))


@asynccontextmanager
async def redis_reset(service: Service) -> AsyncIterator[None]:
    async with _repeated(service.redis_proxy.cut):
        yield


@asynccontextmanager
async def redis_stopped(service: Service) -> AsyncIterator[None]:
    await asyncio.to_thread(service.backing.valkey.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(service.backing.valkey.start)


@asynccontextmanager
async def redis_full(service: Service) -> AsyncIterator[None]:
    async with service.redis() as redis:
        await redis.config_set("maxmemory", "1")
        try:
            yield
        finally:
            await redis.config_set("maxmemory", "128mb")


@asynccontextmanager
async def redis_replica(service: Service) -> AsyncIterator[None]:
    """Valkey is a replica of a server that is away: it reads, and refuses writes."""
    async with service.redis() as redis:
        await redis.execute_command("REPLICAOF", "127.0.0.1", free_port())
        try:
            yield
        finally:
            await redis.execute_command("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def redis_emptied(service: Service) -> AsyncIterator[None]:
    async with service.redis() as redis, _repeated(redis.flushall):
        yield


@asynccontextmanager
async def redis_full_then_reset(service: Service) -> AsyncIterator[None]:
    async with redis_full(service):
        await asyncio.sleep(1)
        async with redis_reset(service):
            yield


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


@asynccontextmanager
async def worker_killed(service: Service) -> AsyncIterator[None]:
    _kill(workers(service.instance)[0])
    yield


@asynccontextmanager
async def starting_worker_killed(service: Service) -> AsyncIterator[None]:
    before = workers(service.instance)
    _kill(before[0])
    found: list[psutil.Process] = []

    def is_replaced() -> bool:
        found[:] = [one for one in workers(service.instance) if one not in before]
        return bool(found)

    # Where it is not replaced in time, the recovery takes long, and the judgement says so.
    if await within_async(10, is_replaced):
        _kill(found[0])
    yield


@asynccontextmanager
async def bodies_cut(service: Service) -> AsyncIterator[None]:
    """Clients send a part of a body and reset the connection, or send it a byte at a time."""
    address = urlsplit(service.instance.url)

    async def send(number: int) -> None:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        with suppress(ConnectionError):
            writer.write(BODY)
            for _ in range(number):
                writer.write(b"0")
                await writer.drain()
                await asyncio.sleep(0.02)
        end = writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def send_many() -> None:
        await asyncio.gather(*map(send, range(20)))

    async with _repeated(send_many):
        yield


def _postgres(service: Service) -> TcpProxy:
    return service.postgres_proxy


def _redis(service: Service) -> TcpProxy:
    return service.redis_proxy


FAULTS: dict[str, Break] = {
    "PostgreSQL: backends terminated": backends_terminated,
    "PostgreSQL: stopped": _down(signal.SIGINT),
    "PostgreSQL: crashed": _down(signal.SIGQUIT),
    "PostgreSQL: frozen": _frozen(_postgres),
    "PostgreSQL: 100 ms late": _late(_postgres, 0.1),
    "PostgreSQL: read-only": read_only,
    "PostgreSQL: users locked": users_locked,
    "PostgreSQL: column type changed": column_changed,
    "Redis: connections reset": redis_reset,
    "Redis: stopped": redis_stopped,
    "Redis: frozen": _frozen(_redis),
    "Redis: 300 ms late": _late(_redis, 0.3),
    "Redis: out of memory": redis_full,
    "Redis: replica of another": redis_replica,
    "Redis: emptied": redis_emptied,
    "Redis: out of memory, then reset": redis_full_then_reset,
    "process: worker killed": worker_killed,
    "process: starting worker killed": starting_worker_killed,
    "client: slow, or cut in a body": bodies_cut,
}
"""By name, which begins with the part that is broken."""
UNHEALTHY = frozenset(
    {
        *(f"PostgreSQL: {how}" for how in ("stopped", "crashed", "frozen", "read-only")),
        *(f"Redis: {how}" for how in ("stopped", "frozen", "300 ms late", "out of memory")),
        "Redis: replica of another",
    }
)
"""Those that last, so that /health is 503 and each breaker opens once."""

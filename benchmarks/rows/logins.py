"""P8: logins at the speed of the cores, and readers beside them."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import uvloop

from app.core.security import PasswordHasher
from benchmarks import load
from benchmarks.instance import EMAIL, PASSWORD, Instance, application, servers
from benchmarks.report import Figure

READERS, BESIDE, LOGINS = 4, 4, 10
SECONDS = 4.0


def hashes_per_second(seconds: float = 2) -> float:
    """Of as many threads as cores, that do nothing else."""
    passwords = PasswordHasher()
    cores = os.cpu_count() or 1
    until = time.perf_counter() + seconds

    def hash_on() -> int:
        count = 0
        while time.perf_counter() < until:
            asyncio.run(passwords.hash(PASSWORD))
            count += 1
        return count

    with ThreadPoolExecutor(cores) as pool:
        count = sum(pool.map(lambda _: hash_on(), range(cores)))
    passwords.close()
    return count / seconds


def seconds_of_one_hash() -> float:
    """Alone, the median of ten."""
    passwords = PasswordHasher()

    async def hash_ten() -> list[float]:
        taken = []
        for _ in range(10):
            began = time.perf_counter()
            await passwords.hash(PASSWORD)
            taken.append(time.perf_counter() - began)
        return taken

    taken = sorted(asyncio.run(hash_ten()))
    passwords.close()
    return taken[5]


async def _side_by_side(
    service: Instance, login: bytes, read: bytes
) -> tuple[load.Load, load.Load]:
    return tuple(  # type: ignore[return-value]  # two of them
        await asyncio.gather(
            load.apply(service.port, [read], READERS, SECONDS),
            load.apply(service.port, [login], BESIDE, SECONDS),
        )
    )


def _loop_seconds(service: Instance) -> float:
    """Processor time of the main thread, which has the event loop; others hash."""
    (main,) = [one for one in service.process.threads() if one.id == service.process.pid]
    return float(main.user_time + main.system_time)


def measure(runs: int) -> Iterator[Figure]:
    parts, bare_parts, kept, slower, on_loop = [], [], [], [], []
    cores = os.cpu_count() or 1
    with servers() as own, application(own, 1_000, LIMITER_ENABLED="false") as service:
        account = json.dumps({"email": EMAIL, "password": PASSWORD}).encode()
        login = load.post("/api/v1/auth/login", account)
        read = load.get("/api/v1/users/me", service.token)
        for _ in range(runs):
            possible = cores / seconds_of_one_hash()
            bare_parts.append(hashes_per_second() / possible)
            before = _loop_seconds(service)
            done = load.run(service.port, [login], LOGINS, SECONDS).expect(200)
            spent = _loop_seconds(service) - before
            on_loop.append(spent / (done.rate * SECONDS) * 1000)
            parts.append(done.rate / possible)
            idle = load.run(service.port, [read], READERS, SECONDS).expect(200)
            busy, logins = uvloop.run(_side_by_side(service, login, read))
            logins.expect(200)
            kept.append(busy.expect(200).rate / idle.rate)
            slower.append(busy.quantile(99) / idle.quantile(99))
    name = "part of cores ÷ one hash"
    yield Figure("P8", f"{name}: {LOGINS} connections that log in", parts, least=0.85)
    yield Figure("P8", f"{name}: threads that only hash", bare_parts, note="the machine's own part")
    yield Figure("P8", "processor time of a login on the event loop", on_loop, "ms")
    yield Figure("P8", "throughput that readers keep beside logins", kept, least=0.5)
    yield Figure("P8", "readers' p99 beside logins, by that of idle", slower, most=3)

"""R16: workers that are killed and replaced."""

import asyncio
import multiprocessing
import os
import random
from dataclasses import replace
from itertools import count
from multiprocessing.context import ForkServerProcess
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings, load_settings
from app.core.jobs import JobPayload
from app.runtime import Runtime, open_runtime
from app.schemas.background.mail import SendMail
from app.worker.job import Job
from app.worker.registry import JOBS as REGISTRY
from app.worker.worker import Worker

WORKERS = 2
LOST_AFTER = 3.0
"""More than a busy machine keeps a worker that lives from giving signs of life."""
# Of all kinds of moments: many end at once, some take longer than a worker lives.
DURATIONS = (0.0, 0.001, 0.01, 0.1, 0.5)


class Mark(JobPayload):
    kind = "mark"
    number: int


async def mark(runtime: Runtime, job: Mark) -> None:
    await asyncio.sleep(random.choice(DURATIONS))
    async with runtime.session_maker() as db:
        await db.execute(text("INSERT INTO done VALUES (:number)"), {"number": job.number})
        await db.commit()


# A worker may be killed any number of times here, and no job may be given up for it. Without a
# limit by kind: the jobs of killed workers count until they are taken over, and would use it up.
RETRIES: dict[str, Any] = {"attempts": 1_000_000, "first_delay": 0.1, "max_delay": 0.5}
JOBS = [
    Job(Mark, mark, **RETRIES),
    *(replace(job, concurrency=0, **RETRIES) for job in REGISTRY if job.payload is SendMail),
]


def settings_of(url: str, port: int = 1, name: str = "No worker") -> Settings:
    """Settings on a database and an SMTP server of this machine; mails are sent in that name."""
    return load_settings().replaced(
        database={"url": SecretStr(url), "pooler": "none", "migration_url": None},
        cache={"enabled": False},
        limiter={"enabled": False},
        auth={"secret_key": SecretStr("a secret that is only used in the tests")},
        jobs={"lost_after": LOST_AFTER, "poll": 0.5},
        mail={
            "url": SecretStr(f"smtp://127.0.0.1:{port}"),
            "sender": f"{name} <no-reply@example.com>",
        },
    )


def work(url: str, port: int, name: str) -> None:
    """The process of a worker."""

    async def run() -> None:
        async with open_runtime(settings_of(url, port, name)) as runtime:
            await Worker(runtime, JOBS).run()

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its log
    asyncio.run(run())


class Killing:
    """Workers that are killed and replaced.

    Args:
        url: of a database of its own.
        port: of the SMTP server.
    """

    def __init__(self, url: str, port: int) -> None:
        self.killed: set[str] = set()
        self._url = url
        self._port = port
        self._spawner = multiprocessing.get_context("forkserver")
        self._spawner.set_forkserver_preload(["tests.faults.killed_workers"])
        self._workers: list[ForkServerProcess] = []
        self._numbers = count(1)

    def start(self) -> None:
        while len(self._workers) < WORKERS:
            name = f"Worker {next(self._numbers)}"
            told = self._url, self._port, name
            worker = self._spawner.Process(target=work, args=told, name=name, daemon=True)
            worker.start()
            self._workers.append(worker)

    def kill_one(self) -> None:
        victim = self._workers.pop(random.randrange(len(self._workers)))
        victim.kill()
        victim.join()
        self.killed.add(victim.name)
        self.start()

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.join()

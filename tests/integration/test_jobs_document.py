"""The code of docs/JOBS.md, run as it is printed there."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text

from app.core.jobs import JobPayload
from app.repositories.background.jobs import JobQueue
from app.repositories.user.repository import UserRepository
from app.runtime import Runtime
from app.schemas.user import UserCreate
from app.worker.job import Job
from app.worker.registry import JOBS
from app.worker.worker import running_jobs
from tests.conftest import PASSWORD
from tests.polling import within_async

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "JOBS.md"


@pytest.fixture
def printed() -> list[str]:
    """Its blocks of Python."""
    found = re.findall(r"^ *```python\n(.*?)^ *```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def run(*blocks: str) -> dict[str, Any]:
    """The names that the blocks define, with those of `app/worker/registry.py` at hand."""
    names: dict[str, Any] = {
        "Runtime": Runtime,
        "Job": Job,
        "JobPayload": JobPayload,
        "UserRepository": UserRepository,
        "log": structlog.get_logger("app.jobs"),
    }
    for block in blocks:
        exec(block, names)
    return names


async def is_empty(runtime: Runtime) -> bool:
    async with runtime.engine.connect() as connection:
        return bool(await connection.scalar(text("SELECT count(*) FROM pgqueuer")) == 0)


async def test_a_job_is_added_by_the_printed_lines(client, runtime, printed, logged):
    payload, handler, enqueue, _ = printed
    names = run(payload, handler)
    run_it = f"async def sign_up(self, row):\n{textwrap.indent(enqueue, '    ')}"
    exec(run_it, names)

    async with runtime.open_user_service() as users:
        ada = UserCreate(email="ada@example.com", username="ada", password=PASSWORD)
        await names["sign_up"](users, await users.prepare(ada))
    async with running_jobs(runtime, [*JOBS, names["JOBS"][-1]]):
        assert await within_async(20, lambda: is_empty(runtime))

    (greeted,) = [line for line in logged() if line["event"] == "greeted"]
    assert greeted["username"] == "ada"


async def test_a_nightly_job_is_added_by_the_printed_lines(root, runtime, printed, logged):
    names = run(printed[-1])
    (job,) = [each for each in names["JOBS"] if each is not ...]

    async with runtime.engine.begin() as connection:
        await connection.execute(text("TRUNCATE pgqueuer_schedules"))
    async with runtime.session_maker() as db:
        await JobQueue(db).enqueue(job.payload())
        await db.commit()
    async with running_jobs(runtime, [job]):
        assert await within_async(20, lambda: is_empty(runtime))

        async with runtime.engine.connect() as connection:
            query = "SELECT entrypoint, expression FROM pgqueuer_schedules"
            schedules = [tuple(row) for row in await connection.execute(text(query))]
    assert schedules == [("count-users", "30 3 * * *")]
    (counted,) = [line for line in logged() if line["event"] == "users_counted"]
    assert counted["last_id"] == root.id

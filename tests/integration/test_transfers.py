"""Imports and exports as background jobs: begun on a page, run by a worker, seen and ended."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security.sealing import ContentCipher
from app.repositories.background.transfers import TransferRepository
from app.runtime import Runtime
from app.services.transfers.exports import UserExportRun
from app.services.transfers.imports import UserImportRun
from app.worker.worker import running_jobs
from tests.conftest import PASSWORD, Person
from tests.integration.test_dashboard_page import PAGE, browser, form_in, log_in

__all__ = ["browser"]
UPLOAD, TRANSFERS = f"{PAGE}/users/upload", f"{PAGE}/transfers"
COUNT = 101
FILE = "email,password\n" + "".join(f"person{n}@example.com,{PASSWORD}\n" for n in range(COUNT))


@pytest.fixture
async def admin(browser: httpx.AsyncClient, root: Person) -> httpx.AsyncClient:
    await log_in(browser, root)
    return browser


async def upload(browser: httpx.AsyncClient, content: str = FILE) -> httpx.Response:
    """Check a file, and then have its users created."""
    token = form_in(await browser.get(UPLOAD), "/users/upload")
    file = {"file": ("people.csv", content.encode())}
    looked = await browser.post(UPLOAD, data=token, files=file)
    mark = looked.text.partition('name="mark" value="')[2].partition('"')[0]
    return await browser.post(UPLOAD, data={**token, "mark": mark, "step": "write"}, files=file)


async def begun(browser: httpx.AsyncClient, content: str = FILE) -> str:
    """Upload a large file; the URL of its import."""
    answer = await upload(browser, content)
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].startswith(TRANSFERS)
    return answer.headers["Location"]


def id_of(place: str) -> UUID:
    return UUID(place.rpartition("/")[2])


async def rows(runtime: Runtime, query: str) -> list[tuple[Any, ...]]:
    async with runtime.engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def execute(runtime: Runtime, statement: str) -> None:
    async with runtime.engine.begin() as connection:
        await connection.execute(text(statement))


async def persons(runtime: Runtime) -> int:
    found = await rows(runtime, "SELECT count(*) FROM users WHERE email LIKE 'person%'")
    return int(found[0][0])


async def outcome(runtime: Runtime) -> tuple[Any, ...]:
    (found,) = await rows(runtime, "SELECT outcome, input IS NULL FROM transfers")
    return found


async def run_jobs(runtime: Runtime) -> None:
    async with asyncio.timeout(60), running_jobs(runtime):
        while await rows(runtime, "SELECT id FROM pgqueuer WHERE status <> 'failed'"):  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.05)


async def test_a_worker_creates_the_users_of_a_large_file(admin, client, runtime):
    place = await begun(admin)
    before = await persons(runtime)
    await run_jobs(runtime)
    page = await admin.get(place)

    login = {"email": "person100@example.com", "password": PASSWORD}
    assert before == 0
    assert await persons(runtime) == COUNT
    assert await outcome(runtime) == ("done", True)
    assert f"Created {COUNT} users" in page.text
    assert "every 2s" not in page.text
    assert (await client.post("/api/v1/auth/login", json=login)).status_code == 200


async def test_a_smaller_file_is_created_at_once(admin, runtime):
    answer = await upload(admin, "".join(FILE.splitlines(keepends=True)[:3]))

    assert answer.headers["Location"] == f"{PAGE}/users"
    assert await persons(runtime) == 2
    assert await rows(runtime, "SELECT id FROM transfers") == []


async def test_no_password_waits_in_clear(admin, runtime):
    await begun(admin)

    ((stored, payload),) = await rows(
        runtime, "SELECT input, payload FROM transfers JOIN pgqueuer ON job_id = pgqueuer.id"
    )
    assert PASSWORD.encode() not in stored + payload
    assert b"person" not in stored + payload
    assert PASSWORD.encode() in (runtime.cipher.unseal(stored) or b"")


async def test_a_conflict_with_a_faster_request_is_reported_and_nothing_is_created(
    admin, root, runtime
):
    place = await begun(admin)
    await root.post("/users", json={"email": "person7@example.com", "password": PASSWORD})
    await run_jobs(runtime)
    page = await admin.get(place)

    assert await persons(runtime) == 1
    assert await outcome(runtime) == ("failed", True)
    assert "Nothing was created. line 9: email: already taken" in page.text


MANY = (
    "INSERT INTO users (email, username, hashed_password, is_active, is_superuser) "
    "SELECT 'person' || n, 'person' || n, 'x', true, false FROM generate_series(1, 10001) n"
)
TAKE_A_NAME = (
    "INSERT INTO users (email, username, hashed_password, is_active, is_superuser) "
    "VALUES ('person7@example.com', 'faster', 'x', true, false)"
)


class Interrupted(UserImportRun):
    """Something happens when all passwords are hashed, before the users are inserted."""

    statement = ""

    async def _hash(self, *arguments: Any) -> bool:
        result = await super()._hash(*arguments)
        async with AsyncSession(self.db.bind) as other:
            await other.execute(text(self.statement))
            await other.commit()
        return result


@pytest.mark.parametrize(
    ("statement", "left", "expected"),
    [
        (
            TAKE_A_NAME,
            1,
            ("failed", True),
        ),
        ("UPDATE transfers SET outcome = 'cancelled', input = NULL", 0, ("cancelled", True)),
        ("UPDATE transfers SET run = run + 1", 0, (None, False)),
    ],
    ids=["a name is taken", "cancelled", "another worker has begun"],
)
async def test_an_import_interrupted_at_any_statement_is_whole_or_absent(
    admin, runtime, statement, left, expected
):
    place = await begun(admin)
    async with runtime.session_maker() as db:
        attempt = Interrupted(db, runtime.cipher, runtime.user_service(db), 500)
        attempt.statement = statement
        await attempt.run(id_of(place))

    assert await persons(runtime) == left
    assert await outcome(runtime) == expected


async def test_a_second_run_creates_no_user_twice(admin, runtime):
    place = await begun(admin)
    for _ in range(2):
        async with runtime.session_maker() as db:
            await runtime.user_import_run(db).run(id_of(place))

    assert await persons(runtime) == COUNT
    assert await outcome(runtime) == ("done", True)


async def test_a_waiting_import_is_cancelled_with_its_job(admin, runtime):
    place = await begun(admin)
    page = await admin.get(place)
    token = form_in(page, f"/transfers/{id_of(place)}/cancel")
    await admin.post(f"{place}/cancel", data=token)
    first = await admin.get(place)
    await admin.post(f"{place}/cancel", data=token)
    second = await admin.get(place)

    assert "It was cancelled: no user was created" in first.text
    assert "It had ended before" in second.text
    assert await outcome(runtime) == ("cancelled", True)
    assert await rows(runtime, "SELECT id FROM pgqueuer") == []


async def test_the_page_says_that_no_worker_runs(admin, runtime):
    place = await begun(admin)
    at_first = await admin.get(place)
    await execute(runtime, "UPDATE pgqueuer SET created = now() - interval '1 minute'")
    later = await admin.get(place)

    assert "No worker has begun it" not in at_first.text
    assert "No worker has begun it yet" in later.text


async def test_a_job_that_failed_or_was_deleted_is_reported(admin, runtime):
    place = await begun(admin)
    await execute(runtime, "UPDATE pgqueuer SET status = 'failed'")
    failed = await admin.get(place)
    await execute(runtime, "DELETE FROM pgqueuer")
    gone = await admin.get(place)

    assert "Retry its job" in failed.text
    assert "Its job ended without a result" in gone.text


@pytest.mark.parametrize("change", ["is_superuser = false", "is_active = false"])
async def test_the_file_of_a_former_superuser_is_refused(admin, runtime, change):
    place = await begun(admin)
    await execute(runtime, f"UPDATE users SET {change}")
    async with runtime.session_maker() as db:
        await runtime.user_import_run(db).run(id_of(place))

    assert await persons(runtime) == 0
    assert await rows(runtime, "SELECT outcome, reason FROM transfers") == [
        ("failed", "The superuser who began it is none any more")
    ]


async def test_a_file_sealed_by_a_key_that_was_replaced_fails_at_once(admin, runtime):
    place = await begun(admin)
    async with runtime.session_maker() as db:
        other = ContentCipher("another secret key, long enough to be one")
        await UserImportRun(db, other, runtime.user_service(db), 500).run(id_of(place))

    page = await admin.get(place)
    assert "AUTH_SECRET_KEY was replaced" in page.text
    assert await outcome(runtime) == ("failed", True)


async def test_too_many_at_once_are_refused(admin, runtime):
    await begun(admin)
    await execute(
        runtime,
        "INSERT INTO transfers (id, kind, user_id, job_id, name, total) "
        "SELECT gen_random_uuid(), 'export', 1, 1, 'users.csv', 1 FROM generate_series(1, 19)",
    )
    refused = await upload(admin)
    token = form_in(await admin.get(UPLOAD), "/users/upload")
    export = await admin.post(f"{TRANSFERS}/export", data=token)
    listed = await admin.get(export.headers["Location"])

    assert refused.status_code == 409
    assert "20 imports and exports have not ended" in refused.text
    assert "20 imports and exports have not ended" in listed.text


async def exported(admin: httpx.AsyncClient, query: str = "") -> str:
    token = form_in(await admin.get(UPLOAD), "/users/upload")
    answer = await admin.post(f"{TRANSFERS}/export{query}", data=token)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


async def test_an_export_is_the_file_that_the_stream_would_be(admin, ada, runtime):
    place = await exported(admin, "?search=ada")
    await run_jobs(runtime)
    page = await admin.get(place)
    file = await admin.get(f"{place}/file", headers={"Accept-Encoding": "identity"})
    streamed = await admin.get(f"{PAGE}/users/export?search=ada")

    assert "Download the CSV" in page.text
    assert file.content == streamed.content
    assert b"ada@example.com" in file.content
    assert file.headers["Content-Length"] == str(len(file.content))
    assert file.headers["Content-Disposition"].startswith('attachment; filename="users-')


async def test_an_export_of_many_parts_is_whole_and_a_second_run_changes_nothing(
    admin, runtime, monkeypatch
):
    monkeypatch.setattr("app.services.transfers.exports.PART", 10_000)
    await execute(runtime, MANY)
    table = await admin.get(f"{PAGE}/users")
    place = await exported(admin)
    for _ in range(2):
        async with runtime.session_maker() as db:
            await runtime.user_export_run(db).run(id_of(place))
    file = await admin.get(f"{place}/file")
    ((parts,),) = await rows(runtime, "SELECT count(*) FROM transfer_parts")

    assert "Prepare a CSV of all users" in table.text
    assert file.content == (await admin.get(f"{PAGE}/users/export")).content
    assert parts > 10


async def test_an_export_that_is_too_large_fails_and_stores_no_file(admin, runtime, monkeypatch):
    monkeypatch.setattr("app.services.transfers.exports.PART", 10_000)
    await execute(runtime, MANY)
    place = await exported(admin)
    async with runtime.session_maker() as db:
        await UserExportRun(db, runtime.cipher, runtime.exports, max_file=300_000).run(id_of(place))
    page = await admin.get(place)
    ((done,),) = await rows(runtime, "SELECT done FROM transfers")

    assert done > 0  # some parts had been written
    assert await rows(runtime, "SELECT number FROM transfer_parts") == []

    assert "The file would be larger than" in page.text
    assert (await admin.get(f"{place}/file")).status_code == 404


async def test_only_the_newest_files_are_kept_and_after_a_day_none(admin, runtime):
    places = [await exported(admin) for _ in range(6)]
    for place in places:
        async with runtime.session_maker() as db:
            await runtime.user_export_run(db).run(id_of(place))
    first = await admin.get(f"{places[0]}/file")
    last = await admin.get(f"{places[5]}/file")
    await execute(runtime, "UPDATE transfers SET created_at = now() - interval '25 hours'")
    async with runtime.session_maker() as db:
        count = await runtime.transfer_service(db).purge()

    assert (first.status_code, last.status_code) == (404, 200)
    assert count == 6
    assert await rows(runtime, "SELECT number FROM transfer_parts") == []
    assert (await admin.get(places[5])).status_code == 404


async def test_an_import_of_another_kind_or_none_is_left_alone(admin, runtime):
    place = await begun(admin)
    async with runtime.session_maker() as db:
        repository = TransferRepository(db)
        assert await repository.begin_run(id_of(place), "export") is None
        assert await repository.begin_run(UUID(int=0), "import") is None
    assert (await admin.get(f"{TRANSFERS}/{UUID(int=0)}")).status_code == 404
    assert (await admin.get(f"{TRANSFERS}/nothing")).status_code == 422


async def test_the_list_shows_all_with_their_state(admin, runtime):
    empty = await admin.get(TRANSFERS)
    place = await begun(admin)
    page = await admin.get(TRANSFERS)

    assert "There are none" in empty.text
    assert place in page.text
    assert "Waiting" in page.text


def test_sealed_content_is_read_by_an_earlier_key_and_not_once_it_is_changed():
    old, new = "an old key, long enough to be one", "a new key, long enough to be one"
    sealed = ContentCipher(old).seal(b"secret")

    assert b"secret" not in sealed
    assert ContentCipher(new, [old]).unseal(sealed) == b"secret"
    assert ContentCipher(new).unseal(sealed) is None
    assert ContentCipher(old).unseal(sealed[:-2] + b"x=") is None

"""Sessions: seeing them, ending them everywhere at once, and how long they last."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.security import PasswordHasher, RefreshTokenSigner
from app.database import locks
from app.runtime import Runtime
from tests.conftest import PASSWORD, Person, browsing, person, running
from tests.polling import within_async
from tests.process import instance

LOGIN, REFRESH = "/api/v1/auth/login", "/api/v1/auth/refresh"
REFRESH_TOKENS = RefreshTokenSigner("a secret that is only used in the tests")
NEW_PASSWORD = "incorrect horse battery staple"
CHANGE = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}


@pytest.fixture(scope="module")
async def other_app(app, settings) -> AsyncIterator[FastAPI]:
    """As good as a second process: a runtime of its own on the same servers."""
    async with running(settings) as other:
        yield other


@pytest.fixture
async def elsewhere(other_app, client) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the other process."""
    async with browsing(other_app) as client:
        yield client


async def refreshed(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(REFRESH, json={"refresh_token": token})


async def row(runtime: Runtime, session_id: str) -> Any:
    async with runtime.session_maker() as db:
        query = text("SELECT * FROM sessions WHERE id = :id")
        return (await db.execute(query, {"id": UUID(session_id)})).one()


def session_id(person: Person) -> str:
    return str(UUID(person.tokens["refresh_token"].partition(".")[0]))


async def pass_time(runtime: Runtime, seconds: float) -> None:
    """Make all sessions older, and forget what was remembered of them."""
    shift = "make_interval(secs => :seconds)"
    columns = "created_at", "last_seen_at", "expires_at", "ended_at"
    async with runtime.session_maker() as db:
        moved = ", ".join(f"{column} = {column} - {shift}" for column in columns)
        await db.execute(text(f"UPDATE sessions SET {moved}"), {"seconds": seconds})
        await db.commit()
    assert runtime.cache is not None
    await runtime.cache.redis.flushall()


async def waiting_for_locks(runtime: Runtime, count: int) -> None:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    async def are_waiting() -> bool:
        async with runtime.session_maker() as db:
            return bool(await db.scalar(query) == count)

    assert await within_async(20, are_waiting)


async def test_own_sessions_are_listed_with_device_address_and_times(app, client, ada, bob):
    async with browsing(app, "198.51.100.9", headers={"User-Agent": "Phone"}) as phone:
        await replace(ada, client=phone).login()

    response = await ada.get("/auth/sessions")

    assert response.status_code == 200
    page = response.json()
    latest, first = page.pop("items")
    assert page == {"total": 2, "page": 1, "size": 50, "pages": 1}
    assert set(first) == {
        *("id", "user_agent", "address", "is_current", "amr", "is_impersonation"),
        *("created_at", "last_seen_at", "expires_at"),
    }
    assert (latest["user_agent"], latest["address"]) == ("Phone", "198.51.100.9")
    assert (first["user_agent"], first["address"]) == ("python-httpx/0.28.1", "192.0.2.7")
    assert (latest["is_current"], first["is_current"]) == (False, True)
    assert first["id"] == session_id(ada)
    for session in (latest, first):
        created, seen, expires = (
            datetime.fromisoformat(session[name])
            for name in ("created_at", "last_seen_at", "expires_at")
        )
        assert created == seen
        assert abs(expires - created - timedelta(days=30)) < timedelta(seconds=5)


async def test_a_session_is_listed_as_seen_when_it_was_used(runtime, ada):
    await pass_time(runtime, 120)

    await ada.get("/users/me")

    (session,) = (await ada.get("/auth/sessions")).json()["items"]
    created, seen = (
        datetime.fromisoformat(session[name]) for name in ("created_at", "last_seen_at")
    )
    assert seen - created >= timedelta(seconds=120)


async def test_ended_sessions_are_not_listed(client, runtime, ada):
    ended, expired = replace(ada), replace(ada)
    await ended.login()
    await expired.login()
    await ended.post("/auth/logout")
    async with runtime.session_maker() as db:
        query = text("UPDATE sessions SET expires_at = now() WHERE id = :id")
        await db.execute(query, {"id": UUID(session_id(expired))})
        await db.commit()

    listed = (await ada.get("/auth/sessions")).json()["items"]

    assert [session["id"] for session in listed] == [session_id(ada)]


async def test_one_of_ones_own_sessions_can_be_ended(client, ada):
    phone = replace(ada)
    await phone.login()

    response = await ada.delete(f"/auth/sessions/{session_id(phone)}")

    assert response.status_code == 204
    assert (await phone.get("/users/me")).status_code == 401
    assert (await refreshed(client, phone.tokens["refresh_token"])).status_code == 401
    assert (await ada.get("/users/me")).status_code == 200


async def test_a_session_that_is_not_there_or_anothers_is_a_404(ada, bob, root):
    ended = replace(ada)
    await ended.login()
    await ended.post("/auth/logout")

    for other in (session_id(bob), session_id(ended), str(uuid4())):
        for somebody in (ada, root):
            response = await somebody.delete(f"/auth/sessions/{other}")
            assert response.status_code == 404
            assert response.json()["error"] == "not_found"

    assert (await bob.get("/users/me")).status_code == 200


@pytest.mark.parametrize("wrong", ["1", "x", f"{UUID(int=1)}0", f"{UUID(int=1)}"[:-1], "%00"])
async def test_an_impossible_session_id_is_a_422(ada, wrong):
    assert (await ada.delete(f"/auth/sessions/{wrong}")).status_code == 422


async def test_logging_out_everywhere_ends_all_of_ones_own_sessions(client, ada, bob):
    phone = replace(ada)
    await phone.login()

    response = await ada.post("/auth/logout-all")

    assert response.status_code == 204
    for device in (ada, phone):
        assert (await device.get("/users/me")).status_code == 401
        assert (await refreshed(client, device.tokens["refresh_token"])).status_code == 401
    assert (await bob.get("/users/me")).status_code == 200


async def test_a_superuser_sees_and_ends_a_users_sessions(client, ada, bob, root):
    listed = await root.get(f"/users/{ada.id}/sessions")
    ended = await root.delete(f"/users/{ada.id}/sessions")

    (session,) = listed.json()["items"]
    assert session["id"] == session_id(ada)
    assert session["is_current"] is False
    assert ended.status_code == 204
    assert (await ada.get("/users/me")).status_code == 401
    assert (await refreshed(client, ada.tokens["refresh_token"])).status_code == 401
    assert (await root.get(f"/users/{ada.id}/sessions")).json()["items"] == []
    assert (await bob.get("/users/me")).status_code == 200


async def test_others_sessions_are_for_superusers(ada, bob, root):
    for method in ("GET", "DELETE"):
        for user in (ada, bob):
            assert (await ada.request(method, f"/users/{user.id}/sessions")).status_code == 403
        assert (await root.request(method, "/users/999999/sessions")).status_code == 404

    assert (await bob.get("/users/me")).status_code == 200


async def test_a_password_change_ends_the_other_sessions_and_keeps_this_one(client, ada):
    phone = replace(ada)
    await phone.login()

    response = await ada.post("/auth/password", json=CHANGE)

    assert response.status_code == 204
    assert (await ada.get("/users/me")).status_code == 200
    assert (await phone.get("/users/me")).status_code == 401
    assert (await refreshed(client, phone.tokens["refresh_token"])).status_code == 401
    assert (await refreshed(client, ada.tokens["refresh_token"])).status_code == 200


async def test_after_a_password_change_only_the_new_one_logs_in(client, ada):
    await ada.post("/auth/password", json=CHANGE)

    old, new = [
        await client.post(LOGIN, json={"email": ada.email, "password": password})
        for password in (PASSWORD, NEW_PASSWORD)
    ]

    assert (old.status_code, new.status_code) == (401, 200)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"current_password": "another one"}, "current_password"),
        ({"current_password": ""}, "current_password"),
        ({"current_password": PASSWORD + "x" * 300}, "current_password"),
        ({"new_password": "abcdefg"}, "new_password"),
        ({"new_password": ""}, "new_password"),
        ({"new_password": "x" * 257}, "new_password"),
        ({"new_password": "PassWord123"}, "new_password"),
        ({"new_password": "Ada@Example.com"}, "new_password"),
        ({"is_superuser": True}, "is_superuser"),
    ],
)
async def test_a_password_change_that_is_refused_names_the_field(client, ada, wrong, field):
    phone = replace(ada)
    await phone.login()

    response = await ada.post("/auth/password", json={**CHANGE, **wrong})

    assert response.status_code == 422
    assert [detail["field"] for detail in response.json()["details"]] == [field]
    assert (await phone.get("/users/me")).status_code == 200
    await phone.login()


async def test_a_username_derived_from_the_email_is_no_password_either(client):
    sign_up = {"email": "ada.lovelace@example.com", "password": "Ada.Lovelace"}

    response = await client.post("/api/v1/users", json=sign_up)

    assert response.status_code == 422
    assert [detail["field"] for detail in response.json()["details"]] == ["password"]


async def test_of_two_password_changes_at_once_one_holds(client, ada):
    passwords = ["the first of the two", "the second of the two"]

    responses = await asyncio.gather(
        *(ada.post("/auth/password", json={**CHANGE, "new_password": new}) for new in passwords)
    )

    statuses = [response.status_code for response in responses]
    assert sorted(statuses) == [204, 422]
    ada.password = passwords[statuses.index(204)]
    await ada.login()


async def test_a_password_change_is_a_change_of_the_profile_at_once(ada):
    await ada.get("/users/me")

    await ada.post("/auth/password", json=CHANGE)

    me, by_id = await ada.get("/users/me"), await ada.get(f"/users/{ada.id}")
    assert me.json() == by_id.json()


ENDINGS: dict[str, Callable[[Person, Person, Person], Awaitable[httpx.Response]]] = {
    "logout": lambda ada, _, __: ada.post("/auth/logout"),
    "logout-all": lambda _, phone, __: phone.post("/auth/logout-all"),
    "end-session": lambda ada, phone, _: phone.delete(f"/auth/sessions/{session_id(ada)}"),
    "password": lambda _, phone, __: phone.post("/auth/password", json=CHANGE),
    "reuse": lambda ada, _, __: refreshed(ada.client, REFRESH_TOKENS.new(UUID(session_id(ada)))),
    "by-superuser": lambda ada, _, root: root.delete(f"/users/{ada.id}/sessions"),
    "deactivation": lambda ada, _, root: root.patch(f"/users/{ada.id}", json={"is_active": False}),
    "deletion": lambda ada, _, root: root.delete(f"/users/{ada.id}"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_end_is_known_to_the_other_process_by_the_next_request(
    client, elsewhere, ada, root, ending
):
    phone = replace(ada)
    await phone.login()
    ada_elsewhere = replace(ada, client=elsewhere)
    for warm in (ada, ada_elsewhere):
        assert (await warm.get("/users/me")).status_code == 200

    await ENDINGS[ending](ada, phone, root)

    assert (await ada_elsewhere.get("/users/me")).status_code == 401
    assert (await ada.get("/users/me")).status_code == 401
    assert (await refreshed(elsewhere, ada.tokens["refresh_token"])).status_code == 401


async def test_a_demotion_is_known_to_the_other_process_by_the_next_request(
    client, runtime, elsewhere, root
):
    eve = await person(client, runtime, "eve", is_superuser=True)
    eve_elsewhere = replace(eve, client=elsewhere)
    assert (await eve_elsewhere.get("/users")).status_code == 200

    await root.patch(f"/users/{eve.id}", json={"is_superuser": False})

    assert (await eve_elsewhere.get("/users")).status_code == 403
    assert (await eve_elsewhere.get("/users/me")).json()["is_superuser"] is False


async def test_a_user_disabled_by_sql_is_refused_after_the_cache_expires(client, runtime, ada):
    async with runtime.session_maker() as db:
        await db.execute(text("UPDATE users SET is_active = false"))
        await db.commit()

    assert (await ada.get("/users/me")).status_code == 401
    assert (await refreshed(client, ada.tokens["refresh_token"])).status_code == 401


@pytest.fixture(scope="module")
def urls(servers, app, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two real processes."""
    folder = tmp_path_factory.mktemp("instances")
    with instance(servers, folder) as one, instance(servers, folder) as other:
        yield [one.url, other.url]


async def test_logout_and_deactivation_hold_across_real_processes(client, urls, ada, bob, root):
    async with (
        httpx.AsyncClient(base_url=urls[0]) as here,
        httpx.AsyncClient(base_url=urls[1]) as there,
    ):
        for somebody in (ada, bob, root):
            for process in (here, there):
                warm = await replace(somebody, client=process).get("/users/me")
                assert warm.status_code == 200

        await replace(ada, client=here).post("/auth/logout")
        await replace(root, client=here).patch(f"/users/{bob.id}", json={"is_active": False})

        for somebody in (ada, bob):
            for process in (there, here):
                refused = await replace(somebody, client=process).get("/users/me")
                assert refused.status_code == 401


@pytest.fixture
def meanwhile(monkeypatch) -> Callable[[Callable[[], Awaitable[Any]]], None]:
    """Have something done when the next password has just been verified."""

    def arrange(act: Callable[[], Awaitable[Any]]) -> None:
        original = PasswordHasher._run

        async def run(self, work, *arguments):
            result = await original(self, work, *arguments)
            monkeypatch.setattr(PasswordHasher, "_run", original)
            await act()
            return result

        monkeypatch.setattr(PasswordHasher, "_run", run)

    return arrange


async def test_a_user_deactivated_during_the_login_is_refused(
    client, runtime, ada, root, meanwhile
):
    meanwhile(lambda: root.patch(f"/users/{ada.id}", json={"is_active": False}))

    response = await client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})

    assert response.status_code == 401
    await root.patch(f"/users/{ada.id}", json={"is_active": True})
    assert (await root.get(f"/users/{ada.id}/sessions")).json()["items"] == []


async def test_a_user_deleted_during_the_login_is_refused(client, ada, root, meanwhile):
    meanwhile(lambda: root.delete(f"/users/{ada.id}"))

    response = await client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})

    assert response.status_code == 401
    assert response.json()["message"] == "Incorrect email or password"


async def test_a_password_that_is_changed_during_a_login_is_refused(client, ada, meanwhile):
    meanwhile(lambda: ada.post("/auth/password", json=CHANGE))

    response = await client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})

    assert response.status_code == 401
    assert (await ada.get("/auth/sessions")).json()["total"] == 1


async def test_a_login_waits_for_a_password_change_under_way(client, runtime, ada):
    async with runtime.engine.connect() as connection:
        await connection.execute(text("UPDATE users SET hashed_password = 'another'"))
        login = asyncio.ensure_future(
            client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})
        )
        await waiting_for_locks(runtime, 1)
        await connection.commit()

    assert (await login).status_code == 401


async def test_a_hash_that_is_renewed_during_a_login_does_not_keep_out(
    client, ada, runtime, meanwhile
):
    async def renew() -> None:
        hashed = await runtime.passwords.hash(PASSWORD)
        async with runtime.session_maker() as db:
            await db.execute(text("UPDATE users SET hashed_password = :new"), {"new": hashed})
            await db.commit()

    meanwhile(renew)

    response = await client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})

    assert response.status_code == 200


async def test_a_session_goes_on_from_one_refresh_to_the_next(client, elsewhere, ada):
    (before,) = (await ada.get("/auth/sessions")).json()["items"]
    seen = {ada.tokens["refresh_token"]}
    for process in (client, elsewhere) * 2:
        response = await refreshed(process, ada.tokens["refresh_token"])
        assert response.status_code == 200
        ada.tokens = response.json()
        seen.add(ada.tokens["refresh_token"])

    assert len(seen) == 5
    (after,) = (await ada.get("/auth/sessions")).json()["items"]
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert after["last_seen_at"] > before["last_seen_at"]


@pytest.mark.parametrize("generation", [0, 1])
async def test_a_reused_token_ends_its_session_before_the_401(
    client, elsewhere, runtime, ada, generation
):
    phone = replace(ada)
    await phone.login()
    tokens = [ada.tokens["refresh_token"]]
    for _ in range(3):
        ada.tokens = (await refreshed(client, tokens[-1])).json()
        tokens.append(ada.tokens["refresh_token"])

    replay = await refreshed(client, tokens[generation])

    assert replay.status_code == 401
    assert (await row(runtime, session_id(ada))).ended_at is not None
    for token in tokens:
        assert (await refreshed(elsewhere, token)).status_code == 401
    assert (await replace(ada, client=elsewhere).get("/users/me")).status_code == 401
    assert (await phone.get("/users/me")).status_code == 200


@pytest.fixture(scope="module")
async def brief_app(app, settings) -> AsyncIterator[FastAPI]:
    """Sessions end after 100 s without a refresh, and after 150 s anyway."""
    brief = settings.replaced(auth={"refresh_ttl": 100, "session_ttl": 150})
    async with running(brief) as brief_app:
        yield brief_app


@pytest.fixture
async def guest(brief_app, ada) -> AsyncIterator[Person]:
    """Ada, where sessions are brief."""
    async with browsing(brief_app) as client:
        guest = replace(ada, client=client)
        await guest.login()
        yield guest


async def lifetime(runtime: Runtime, person: Person) -> tuple[float, float]:
    """Seconds until the session expires, from its beginning and from when it was last seen."""
    session = await row(runtime, session_id(person))
    return (
        (session.expires_at - session.created_at).total_seconds(),
        (session.expires_at - session.last_seen_at).total_seconds(),
    )


async def test_a_refresh_moves_the_end_of_a_session(runtime, guest):
    assert await lifetime(runtime, guest) == pytest.approx((100, 100), abs=2)
    await pass_time(runtime, 30)

    response = await refreshed(guest.client, guest.tokens["refresh_token"])

    assert response.status_code == 200
    assert await lifetime(runtime, guest) == pytest.approx((130, 100), abs=2)


async def test_no_refresh_moves_it_past_the_absolute_end(runtime, guest):
    for _ in range(2):
        await pass_time(runtime, 70)
        guest.tokens = (await refreshed(guest.client, guest.tokens["refresh_token"])).json()

    from_beginning, from_now = await lifetime(runtime, guest)
    assert from_beginning == 150
    assert from_now == pytest.approx(10, abs=2)
    await pass_time(runtime, 11)
    assert (await guest.get("/users/me")).status_code == 401
    assert (await refreshed(guest.client, guest.tokens["refresh_token"])).status_code == 401


async def test_an_idle_session_is_over(runtime, guest):
    await pass_time(runtime, 101)

    assert (await guest.get("/users/me")).status_code == 401
    assert (await refreshed(guest.client, guest.tokens["refresh_token"])).status_code == 401


async def test_use_without_a_refresh_does_not_move_the_end(runtime, guest):
    before = await row(runtime, session_id(guest))
    await pass_time(runtime, 90)

    assert (await guest.get("/users/me")).status_code == 200

    after = await row(runtime, session_id(guest))
    assert after.expires_at == before.expires_at - timedelta(seconds=90)


@pytest.mark.parametrize("refresh_comes", ["before", "after"])
async def test_a_refresh_and_a_logout_at_once_leave_no_session(client, runtime, ada, refresh_comes):
    acts = [refreshed(client, ada.tokens["refresh_token"]), ada.post("/auth/logout")]
    async with runtime.engine.connect() as connection:
        await connection.execute(text("SELECT FROM sessions FOR UPDATE"))
        running = []
        for turn, act in enumerate(acts if refresh_comes == "before" else acts[::-1], 1):
            running.append(asyncio.create_task(act))
            await waiting_for_locks(runtime, turn)
        await connection.rollback()
    answers = await asyncio.gather(*running)
    refresh_answer, logout_answer = answers if refresh_comes == "before" else answers[::-1]

    assert logout_answer.status_code == 204
    assert refresh_answer.status_code == (200 if refresh_comes == "before" else 401)
    assert (await row(runtime, session_id(ada))).ended_at is not None
    newest = refresh_answer.json().get("refresh_token", ada.tokens["refresh_token"])
    assert (await refreshed(client, newest)).status_code == 401
    assert (await ada.get("/users/me")).status_code == 401


async def test_a_refresh_does_not_touch_what_has_ended(client, runtime, ada):
    await ada.post("/auth/logout")
    before = await row(runtime, session_id(ada))

    response = await refreshed(client, ada.tokens["refresh_token"])

    assert response.status_code == 401
    assert await row(runtime, session_id(ada)) == before


async def purged(runtime: Runtime) -> int:
    async with runtime.session_maker() as db:
        return await runtime.session_service(db).purge()


async def ids(runtime: Runtime) -> set[str]:
    async with runtime.session_maker() as db:
        return set(map(str, await db.scalars(text("SELECT id FROM sessions"))))


async def test_a_purge_deletes_what_has_been_over_for_a_week_and_nothing_else(client, runtime, bob):
    days_ago = [("ended_at", 8), ("expires_at", 8), ("ended_at", 6), ("expires_at", 6)]
    days_ago += [("created_at", 365), ("last_seen_at", 365)]
    columns = "id, user_id, refresh_hash, created_at, last_seen_at, expires_at, user_agent"
    live = "gen_random_uuid(), user_id, '', created_at, last_seen_at, expires_at, :kind"
    async with runtime.session_maker() as db:
        for column, days in days_ago:
            kind = {"kind": f"{column} {days}"}
            insert = f"INSERT INTO sessions ({columns}) SELECT {live} FROM sessions WHERE id = :id"
            await db.execute(text(insert), kind | {"id": UUID(session_id(bob))})
            change = f"UPDATE sessions SET {column} = now() - make_interval(days => {days})"
            await db.execute(text(f"{change} WHERE user_agent = :kind"), kind)
        await db.commit()

    count = await purged(runtime)

    async with runtime.session_maker() as db:
        left = await db.scalars(text("SELECT user_agent FROM sessions ORDER BY user_agent"))
    assert count == 2
    assert [kind for kind in left if " " in kind] == [
        "created_at 365",
        "ended_at 6",
        "expires_at 6",
        "last_seen_at 365",
    ]
    assert (await refreshed(client, bob.tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("end", ["reuse", "age"])
async def test_no_token_of_a_purged_session_is_accepted(client, runtime, ada, end):
    used = ada.tokens["refresh_token"]
    ada.tokens = (await refreshed(client, used)).json()
    if end == "reuse":
        ada.tokens = (await refreshed(client, ada.tokens["refresh_token"])).json()
        await refreshed(client, used)
    await pass_time(runtime, timedelta(days=8 if end == "reuse" else 38).total_seconds())

    assert await purged(runtime) == 1

    for token in (used, ada.tokens["refresh_token"]):
        assert (await refreshed(client, token)).status_code == 401
    assert (await ada.get("/users/me")).status_code == 401
    assert await ids(runtime) == set()


async def test_while_one_process_purges_another_does_not(client, runtime, ada):
    await pass_time(runtime, timedelta(days=38).total_seconds())
    async with runtime.engine.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": locks.PURGE})

        assert await purged(runtime) == 0

        await connection.rollback()
    assert await purged(runtime) == 1

"""API keys: what a program may do with one, and how soon a revoked one is refused."""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from app.core.exceptions import TokenRevokedException
from app.core.security import api_keys
from app.core.security.api_keys import PATTERN, ApiKey, new_api_key
from app.models.access.api_key import ApiKey as Row
from app.runtime import Runtime, open_runtime
from app.schemas.access.session import Principal
from app.schemas.background.jobs import PurgeApiKeys
from app.services.api_keys.service import MAX_KEYS
from app.worker.registry import purge_api_keys
from tests.access import API
from tests.conftest import LOCAL, PASSWORD, Person, browsing, person, running
from tests.integration.test_roles import give
from tests.mfa import execute, make_stale

NEXT_MONTH = (datetime.now(UTC) + timedelta(days=30)).isoformat()


def body(*permissions: str, **changes: Any) -> dict[str, Any]:
    return {"name": "Robot", "permissions": list(permissions), "expires_at": NEXT_MONTH, **changes}


@dataclass
class Robot:
    """A program with a key."""

    client: httpx.AsyncClient
    key: dict[str, Any]

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {b"Authorization": f"Bearer {self.key['key']}".encode()}
        return await self.client.request(method, f"{API}{path}", headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.request("GET", path, **options)


async def robot_of(owner: Person, *permissions: str, **changes: Any) -> Robot:
    answer = await owner.post("/api-keys", json=body(*permissions, **changes))
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{API}/api-keys/{answer.json()['id']}"
    return Robot(owner.client, answer.json())


async def events(runtime: Runtime, action: str) -> list[dict[str, Any]]:
    query = text("SELECT * FROM audit_events WHERE action = :action ORDER BY created_at, id")
    async with runtime.engine.connect() as connection:
        found = await connection.execute(query, {"action": action})
        return [dict(row) for row in found.mappings()]


async def test_a_key_is_shown_once_and_stored_as_a_hash(root, runtime):
    robot = await robot_of(root, "users:read")
    listed = (await root.get("/api-keys")).json()
    async with runtime.engine.connect() as connection:
        row = (await connection.execute(text("SELECT * FROM api_keys"))).mappings().one()

    assert re.fullmatch(PATTERN, robot.key["key"])
    assert robot.key["key"] not in str(listed)
    assert listed["items"] == [{name: value for name, value in robot.key.items() if name != "key"}]
    assert listed["items"][0]["last_used_at"] is None
    assert len(row["secret_hash"]) == 32
    assert robot.key["key"].encode() not in row["secret_hash"]


async def test_a_program_reads_its_owners_profile_without_sql(ada, statements):
    robot = await robot_of(ada)
    for _ in range(2):
        statements.clear()
        answer = await robot.get("/users/me")
        assert answer.json()["email"] == ada.email

    assert statements == []


async def test_a_key_allows_its_permissions_and_no_others(root):
    robot = await robot_of(root, "users:read")

    statuses = {
        path: (await robot.get(path)).status_code
        for path in ("/users", f"/users/{root.id}", "/dashboard/stats", "/metrics/database")
    }

    assert statuses == {
        "/users": 200,
        f"/users/{root.id}": 200,
        "/dashboard/stats": 403,
        "/metrics/database": 403,
    }


async def test_a_key_allows_no_more_than_its_owner_at_that_moment(root, ada):
    role = await give(root, ada, "users:read", "stats:read")
    robot = await robot_of(ada, "users:read", "stats:read")
    before = (await robot.get("/users")).status_code

    await root.patch(f"/roles/{role['id']}", json={"permissions": ["stats:read"]})
    without = [(await robot.get(path)).status_code for path in ("/users", "/dashboard/stats")]
    await root.request("PUT", f"/users/{ada.id}/roles", json={"roles": []})
    bare = [(await robot.get(path)).status_code for path in ("/dashboard/stats", "/users/me")]

    assert (before, without, bare) == (200, [403, 200], [403, 200])


async def test_a_superusers_key_is_no_superuser(client, runtime, root, ada):
    robot = await robot_of(root, "users:read", "users:update", "users:delete", "users:create")
    other = await person(client, runtime, "other", is_superuser=True)
    new = {"email": "new@example.com", "password": PASSWORD, "is_superuser": True}

    refused = [
        await robot.request("PATCH", f"/users/{other.id}", json={"full_name": "Eve"}),
        await robot.request("PATCH", f"/users/{root.id}", json={"full_name": "Eve"}),
        await robot.request("DELETE", f"/users/{root.id}"),
        await robot.request("PATCH", f"/users/{ada.id}", json={"is_superuser": True}),
        await robot.request("POST", "/users", json=new),
        await robot.request("POST", "/users/bulk", json=[new]),
    ]
    allowed = [
        await robot.request("PATCH", f"/users/{ada.id}", json={"full_name": "Ada King"}),
        await robot.request("POST", "/users/bulk", json=[new | {"is_superuser": False}]),
        await robot.request("DELETE", f"/users/{ada.id}"),
    ]

    assert [answer.status_code for answer in refused] == [403, 403, 403, 422, 422, 422]
    assert [answer.status_code for answer in allowed] == [200, 201, 204]


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/api-keys", body()),
        ("GET", "/api-keys", None),
        ("DELETE", "/api-keys/00000000-0000-0000-0000-000000000000", None),
        ("POST", "/users/1/api-keys", body()),
        ("GET", "/users/1/api-keys", None),
        ("POST", "/auth/password", {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}),
        ("POST", "/auth/confirmation", {"password": PASSWORD}),
        ("POST", "/auth/logout", None),
        ("POST", "/auth/logout-all", None),
        ("GET", "/auth/sessions", None),
        ("DELETE", "/auth/sessions/00000000-0000-0000-0000-000000000000", None),
        ("PATCH", "/users/me", {"email": "mine@example.com"}),
        ("GET", "/users/me/mfa", None),
        ("POST", "/users/me/mfa/totp", None),
        ("DELETE", "/users/me/mfa/totp", None),
        ("POST", "/users/me/mfa/recovery-codes", None),
        ("POST", "/users/1/password-reset", None),
        ("POST", "/roles", {"name": "mine", "permissions": []}),
        ("PUT", "/users/1/roles", {"roles": []}),
    ],
)
async def test_a_key_reaches_no_account_session_factor_role_or_key(root, method, path, sent):
    grantable = ["users:read", "users:create", "users:update", "users:delete", "sessions:end"]
    robot = await robot_of(root, *grantable)

    assert (await robot.request(method, path, json=sent)).status_code == 403


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"permissions": ["users:fly"]}, "permissions.0"),
        ({"permissions": ["roles:manage"]}, "permissions"),
        ({"permissions": ["keys:manage"]}, "permissions"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": (datetime.now(UTC) + timedelta(days=367)).isoformat()}, "expires_at"),
        ({"expires_at": None}, "expires_at"),
        ({"expires_at": 7}, "expires_at"),
        ({"key": "mine"}, "key"),
    ],
)
async def test_a_key_that_is_not_valid_is_refused(root, changes, field):
    refused = await root.post("/api-keys", json=body() | changes)

    assert refused.status_code == 422
    assert refused.json()["details"][0]["field"] == field


async def test_an_expiry_is_required(root):
    sent = body()
    del sent["expires_at"]

    refused = await root.post("/api-keys", json=sent)

    assert refused.json()["details"][0]["code"] == "missing"


async def test_nobody_gives_a_key_what_they_do_not_have(root, ada, bob):
    await give(root, ada, "keys:manage", "users:read", "stats:read")
    await give(root, bob, "users:read")
    place = f"/users/{bob.id}/api-keys"

    answers = [
        await ada.post("/api-keys", json=body("users:delete")),
        await ada.post(place, json=body("users:delete")),
        await ada.post(place, json=body("stats:read")),
        await ada.post(f"/users/{root.id}/api-keys", json=body("users:read")),
        await ada.post(place, json=body("users:read")),
        await bob.post(f"/users/{ada.id}/api-keys", json=body("users:read")),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 422, 403, 201, 403]


async def test_a_user_has_twenty_keys_at_most(ada, runtime):
    async with runtime.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO api_keys (id, user_id, name, secret_hash, permissions, expires_at) "
                "SELECT gen_random_uuid(), :user, 'one', '', '{}', now() "
                "FROM generate_series(1, :count)"
            ),
            {"user": ada.id, "count": MAX_KEYS},
        )

    assert (await ada.post("/api-keys", json=body())).status_code == 409
    assert (await ada.get("/api-keys")).json()["total"] == MAX_KEYS


async def test_keys_of_users_are_managed_with_the_permission(root, ada):
    place = f"/users/{ada.id}/api-keys"
    made = await root.post(place, json=body())
    robot = Robot(root.client, made.json())

    listed = (await root.get(place)).json()["items"]
    before = (await robot.get("/users/me")).json()["email"]
    statuses = [(await root.delete(f"{place}/{listed[0]['id']}")).status_code for _ in range(2)]

    assert before == ada.email
    assert statuses == [204, 404]
    assert (await robot.get("/users/me")).status_code == 401
    assert (await root.get("/users/999/api-keys")).status_code == 404
    assert (await root.post("/users/999/api-keys", json=body())).status_code == 404


async def test_another_users_key_is_not_found(ada, bob):
    robot = await robot_of(ada)

    assert (await bob.delete(f"/api-keys/{robot.key['id']}")).status_code == 404
    assert (await robot.get("/users/me")).status_code == 200


async def test_a_key_ends_with_its_expiry_and_with_its_owner(root, ada, runtime):
    robot = await robot_of(ada)
    await robot.get("/users/me")
    await root.patch(f"/users/{ada.id}", json={"is_active": False})
    inactive = (await robot.get("/users/me")).status_code
    other = await robot_of(root)
    async with runtime.engine.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET expires_at = now()"))

    expired = await other.get("/users/me")

    assert (inactive, expired.status_code) == (401, 401)
    assert expired.json()["error"] == "token_revoked"


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1],
        lambda key: key + "a",
        lambda key: key[:-1] + ("a" if key[-1] != "a" else "b"),
        lambda key: key.replace("_", "-"),
        lambda key: key[:5],
        lambda key: key[:5] + "g" * 82,
        lambda key: "bapi_ä" + key[6:],
        lambda key: key.upper(),
    ],
)
async def test_a_malformed_key_costs_no_query(root, statements, change):
    robot = await robot_of(root)
    statements.clear()

    answer = await Robot(root.client, {"key": change(robot.key["key"])}).get("/users/me")

    assert answer.status_code == 401
    assert answer.json()["error"] == "token_invalid"
    assert statements == []


async def test_a_right_id_with_a_wrong_secret_is_refused_and_harms_nobody(root):
    robot = await robot_of(root)
    await robot.get("/users/me")
    made, real = new_api_key(), robot.key["key"]
    forged = _with_id(made.text, real)

    statuses = [
        (await Robot(root.client, {"key": key}).get("/users/me")).status_code
        for key in (forged, real, forged)
    ]

    assert statuses == [401, 200, 401]


def _with_id(key: str, other: str) -> str:
    """A well-formed key with the id of another."""
    changed = key[:-6].replace(key[5:37], other[5:37])
    return changed + api_keys._checksum(changed)


async def test_guesses_are_limited_by_address_and_leave_valid_keys_alone(
    settings, client, ada, statements
):
    robot = await robot_of(ada)
    few = settings.replaced(limiter={"key_address": "3/minute", "prefix": f"test:{uuid4()}"})
    async with running(few) as app, browsing(app) as elsewhere:
        known = Robot(elsewhere, robot.key)
        assert (await known.get("/users/me")).status_code == 200

        guesses = [
            await Robot(elsewhere, {"key": new_api_key().text}).get("/users/me") for _ in range(5)
        ]

        assert [answer.status_code for answer in guesses] == [401, 401, 401, 429, 429]
        assert int(guesses[-1].headers["Retry-After"]) > 0
        assert (await known.get("/users/me")).status_code == 200


async def test_a_program_that_goes_on_with_an_old_key_is_no_guess(settings, client, ada):
    robot = await robot_of(ada)
    few = settings.replaced(limiter={"key_address": "3/minute", "prefix": f"test:{uuid4()}"})
    await ada.delete(f"/api-keys/{robot.key['id']}")
    async with running(few) as app, browsing(app) as elsewhere:
        old = Robot(elsewhere, robot.key)

        statuses = {(await old.get("/users/me")).status_code for _ in range(8)}

    assert statuses == {401}


async def test_a_key_has_limits_of_its_own(settings, client, ada):
    robot = await robot_of(ada)
    few = settings.replaced(limiter={"key_read": "2/minute", "prefix": f"test:{uuid4()}"})
    async with running(few) as app, browsing(app) as elsewhere:
        limited = Robot(elsewhere, robot.key)
        answers = [await limited.get("/users/me") for _ in range(3)]
        owner = await elsewhere.get(
            f"{API}/users/me",
            headers={"Authorization": f"Bearer {ada.tokens['access_token']}"},
        )

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit-Policy"] == '"key_read";q=2;w=60'
    assert owner.status_code == 200


async def test_the_last_use_is_written_once_a_minute_at_most(ada, runtime, statements):
    robot = await robot_of(ada)
    redis = runtime.cache.redis
    written = 0
    for _ in range(3):
        statements.clear()
        await robot.get("/users/me")
        written += sum(statement.startswith("UPDATE api_keys") for statement in statements)
        await redis.flushdb()

    assert written == 1
    assert (await ada.get("/api-keys")).json()["items"][0]["last_used_at"] is not None


async def test_whoever_finds_a_key_may_revoke_it(client, root, ada, runtime):
    robot = await robot_of(ada)
    place = f"{API}/api-keys/revocation"
    await robot.get("/users/me")
    forged = _with_id(new_api_key().text, robot.key["key"])

    harmless = await client.post(place, json={"key": forged})
    still = (await robot.get("/users/me")).status_code
    revoked = [await client.post(place, json={"key": robot.key["key"]}) for _ in range(2)]
    malformed = await client.post(place, json={"key": "bapi_nonsense"})

    assert (harmless.status_code, still) == (204, 200)
    assert [answer.status_code for answer in revoked] == [204, 204]
    assert (await robot.get("/users/me")).status_code == 401
    assert malformed.status_code == 401
    (event,) = await events(runtime, "key.revoked")
    assert (event["actor"], event["user_id"]) == ("anonymous", ada.id)


async def test_reports_of_leaked_keys_are_limited_by_address(settings, client):
    few = settings.replaced(limiter={"key_address": "2/minute", "prefix": f"test:{uuid4()}"})
    async with running(few) as app, browsing(app) as elsewhere:
        statuses = [
            (
                await elsewhere.post(f"{API}/api-keys/revocation", json={"key": new_api_key().text})
            ).status_code
            for _ in range(3)
        ]

    assert statuses == [204, 204, 429]


async def test_keys_are_in_the_audit_trail_and_act_under_their_own_name(root, ada, runtime):
    robot = await robot_of(root, "users:update")
    await robot.request("PATCH", f"/users/{ada.id}", json={"full_name": "Ada King"})
    await root.delete(f"/api-keys/{robot.key['id']}")

    (created,) = await events(runtime, "key.created")
    (updated,) = await events(runtime, "user.updated")
    (revoked,) = await events(runtime, "key.revoked")
    assert created["target"] == f"key:{robot.key['id']}"
    assert created["after"]["secret_hash"] == "[redacted]"
    assert (updated["actor"], updated["actor_name"]) == (f"key:{robot.key['id']}", "root: Robot")
    assert revoked["actor"] == f"user:{root.id}"


async def test_the_owner_gets_a_notice(ada, runtime):
    await robot_of(ada)

    async with runtime.engine.connect() as connection:
        payload = await connection.scalar(text("SELECT payload FROM pgqueuer"))
    assert b"api-key-made" in payload
    assert ada.email.encode() in payload
    assert b"bapi_" not in payload


async def test_making_a_key_needs_a_recent_confirmation(ada, runtime):
    await make_stale(runtime)

    refused = await ada.post("/api-keys", json=body())

    assert refused.status_code == 403
    assert refused.json()["error"] == "confirmation_required"


async def test_without_a_cache_keys_work_and_end(settings, client, ada):
    robot = await robot_of(ada)
    async with (
        running(settings.replaced(cache={"enabled": False})) as app,
        browsing(app) as elsewhere,
    ):
        there = Robot(elsewhere, robot.key)
        before = (await there.get("/users/me")).status_code
        await ada.delete(f"/api-keys/{robot.key['id']}")
        after = (await there.get("/users/me")).status_code

    assert (before, after) == (200, 401)


async def principal_in(runtime: Runtime, key: ApiKey) -> Principal | None:
    """As a request finds it; None where it is refused."""
    try:
        return await runtime.keys.cached(key) or await runtime.keys.look_up(key)
    except TokenRevokedException:
        return None


async def test_a_key_revoked_in_one_process_is_refused_by_the_next_request_of_another(
    settings, client, ada, runtime
):
    """A thousand times of a thousand; each key was used in both before."""
    keys = [new_api_key() for _ in range(1000)]
    expiry = datetime.now(UTC) + timedelta(days=1)
    async with open_runtime(settings, LOCAL) as other, runtime.session_maker() as db:
        db.add_all(
            Row(
                id=key.id,
                user_id=ada.id,
                name="one",
                secret_hash=key.hash,
                permissions=[],
                expires_at=expiry,
                last_used_at=datetime.now(UTC),
            )
            for key in keys
        )
        await db.commit()
        owner = await principal_in(runtime, keys[0])
        assert owner is not None

        async def ends_everywhere(number: int, key: ApiKey) -> bool:
            here, there = (runtime, other) if number % 2 else (other, runtime)
            was_known = [await principal_in(process, key) for process in (here, there)]
            async with here.session_maker() as db:
                await here.api_key_service(db).revoke(key.id, ada.id, owner)
            return all(was_known) and await principal_in(there, key) is None

        refused = 0
        for start in range(0, len(keys), 20):
            some = enumerate(keys[start : start + 20])
            refused += sum(await asyncio.gather(*(ends_everywhere(*one) for one in some)))

    assert refused == len(keys)


async def test_keys_that_expired_a_month_ago_are_purged_and_others_stay(ada, runtime):
    for name in ("live", "of late", "old"):
        await robot_of(ada, name=name)
    ages = {"of late": "29 days", "old": "31 days"}
    for name, age in ages.items():
        await execute(
            runtime,
            f"UPDATE api_keys SET expires_at = now() - interval '{age}' WHERE name = '{name}'",
        )

    await purge_api_keys(runtime, PurgeApiKeys())

    listed = (await ada.get("/api-keys")).json()["items"]
    assert {key["name"] for key in listed} == {"live", "of late"}

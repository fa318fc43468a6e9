"""Roles: who may do what, who may give it, and how soon a change is seen."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.core.permissions import Permission
from app.core.security import AccessToken
from app.schemas.access.role import MAX_USER_ROLES
from app.schemas.base import example_of
from app.schemas.user import UserSchema
from app.services.access.roles import MAX_ROLES
from app.services.principals import PrincipalCache, principal_of
from tests.conftest import PASSWORD, Person, browsing, person, running

EVERYTHING = [permission.value for permission in Permission]


async def new_role(root: Person, name: str, *permissions: str) -> dict[str, Any]:
    answer = await root.post("/roles", json={"name": name, "permissions": list(permissions)})
    assert answer.status_code == 201, answer.text
    role: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/api/v1/roles/{role['id']}"
    return role


async def give(root: Person, somebody: Person, *permissions: str) -> dict[str, Any]:
    """Give somebody a role of their own with these permissions."""
    role = await new_role(root, f"role-of-{somebody.id}", *permissions)
    answer = await root.request(
        "PUT", f"/users/{somebody.id}/roles", json={"roles": [role["name"]]}
    )
    assert answer.status_code == 200, answer.text
    return role


async def test_a_role_is_created_read_changed_and_deleted(root):
    role = await new_role(root, "support", "sessions:end", "users:read", "users:read")
    place = f"/roles/{role['id']}"
    changes = {"name": "helpers", "description": "They help", "permissions": ["users:read"]}

    changed = await root.patch(place, json=changes)
    listed = (await root.get("/roles")).json()
    statuses = [(await root.request(method, place)).status_code for method in ("DELETE", "GET")]

    assert role["permissions"] == ["users:read", "sessions:end"]
    assert changes.items() <= changed.json().items()
    assert listed["items"] == [changed.json()]
    assert statuses == [204, 404]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"name": "Support", "permissions": []}, "name", "malformed"),
        ({"name": "x", "permissions": []}, "name", "malformed"),
        ({"name": "support"}, "permissions", "missing"),
        ({"name": "support", "permissions": ["users:fly"]}, "permissions.0", "not_a_choice"),
        ({"name": "support", "permissions": ["users:read"] * 201}, "permissions", "too_long"),
        ({"name": "support", "permissions": [], "description": "x" * 201}, "description", None),
        ({"name": "support", "permissions": [], "id": 7}, "id", "unknown"),
    ],
)
async def test_a_role_that_is_not_valid_is_refused(root, body, field, code):
    refused = await root.post("/roles", json=body)

    assert refused.status_code == 422
    detail = refused.json()["details"][0]
    assert detail["field"] == field
    assert code in (None, detail["code"])


async def test_a_name_is_taken_once(root):
    await new_role(root, "support")
    other = await new_role(root, "other")

    refused = [
        await root.post("/roles", json={"name": "support", "permissions": []}),
        await root.patch(f"/roles/{other['id']}", json={"name": "support"}),
    ]

    assert [answer.status_code for answer in refused] == [409, 409]
    assert refused[0].json()["details"] == [
        {"field": "name", "message": "already taken", "code": "taken"}
    ]


async def test_there_are_a_hundred_roles_at_most(root, runtime):
    async with runtime.session_maker() as db:
        roles = runtime.role_service(db).roles
        for number in range(MAX_ROLES):
            await roles.add(roles.model(name=f"role-{number}", permissions=[]))
        await db.commit()

    assert (await root.post("/roles", json={"name": "more", "permissions": []})).status_code == 409


async def test_roles_are_given_and_taken_as_a_whole(root, ada):
    await new_role(root, "support", "users:read")
    await new_role(root, "auditor", "audit:read")
    seen = []
    for names in (["support", "auditor"], ["auditor"], []):
        given = await root.request("PUT", f"/users/{ada.id}/roles", json={"roles": names})
        own = await ada.get(f"/users/{ada.id}/roles")
        assert given.json() == own.json()
        seen.append([role["name"] for role in own.json()])

    assert seen == [["auditor", "support"], ["auditor"], []]


@pytest.mark.parametrize(
    ("roles", "status"),
    [(["nobody"], 422), (["No Name"], 422), (["a1"] * (MAX_USER_ROLES + 1), 422), (None, 422)],
)
async def test_roles_that_do_not_exist_are_not_given(root, ada, roles, status):
    answer = await root.request("PUT", f"/users/{ada.id}/roles", json={"roles": roles})

    assert answer.status_code == status
    assert answer.json()["details"][0]["field"].startswith("roles")


async def test_a_user_who_does_not_exist_has_no_roles(root):
    answers = [
        await root.request("PUT", "/users/999/roles", json={"roles": []}),
        await root.get("/users/999/roles"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404]


async def test_users_see_which_permissions_they_have(root, ada):
    await give(root, ada, "users:read")

    granted = {
        somebody.email: [
            permission["name"]
            for permission in (await somebody.get("/permissions")).json()
            if permission["is_granted"]
        ]
        for somebody in (ada, root)
    }

    assert granted == {ada.email: ["users:read"], root.email: EVERYTHING}


async def test_nobody_gives_what_they_do_not_have(root, ada, bob):
    await give(root, ada, "roles:manage", "users:read")
    strong = await new_role(root, "strong", "users:delete")
    weak = await new_role(root, "weak", "users:read")
    place = f"/users/{bob.id}/roles"

    refused = [
        await ada.post("/roles", json={"name": "mine", "permissions": ["users:delete"]}),
        await ada.patch(f"/roles/{weak['id']}", json={"permissions": ["stats:read"]}),
        await ada.patch(f"/roles/{strong['id']}", json={"permissions": []}),
        await ada.delete(f"/roles/{strong['id']}"),
        await ada.request("PUT", place, json={"roles": ["strong"]}),
    ]
    allowed = [
        await ada.post("/roles", json={"name": "mine", "permissions": ["users:read"]}),
        await ada.patch(f"/roles/{strong['id']}", json={"description": "Strong"}),
        await ada.request("PUT", place, json={"roles": ["weak"]}),
    ]

    assert [answer.status_code for answer in refused] == [403] * 5
    assert "users:delete" in refused[0].json()["message"]
    assert [answer.status_code for answer in allowed] == [201, 200, 200]


async def test_a_role_that_the_caller_lacks_is_not_taken_away_either(root, ada, bob):
    await give(root, ada, "roles:manage")
    await give(root, bob, "users:delete")

    refused = await ada.request("PUT", f"/users/{bob.id}/roles", json={"roles": []})

    assert refused.status_code == 403


async def test_only_superusers_touch_a_superuser(root, ada):
    await give(root, ada, *EVERYTHING)
    place = f"/users/{root.id}"
    session = (await root.get("/auth/sessions")).json()["items"][0]["id"]

    refused = [
        await ada.patch(place, json={"full_name": "Eve"}),
        await ada.patch(place, json={"is_active": False}),
        await ada.delete(place),
        await ada.delete(f"{place}/sessions"),
        await ada.delete(f"{place}/sessions/{session}"),
        await ada.request("PUT", f"{place}/roles", json={"roles": []}),
        await ada.post(f"{place}/password-reset"),
    ]

    assert {answer.status_code for answer in refused} == {403}
    assert {answer.json()["message"] for answer in refused[2:]} == {
        "Only a superuser may change a superuser"
    }
    assert (await root.get("/users/me")).json()["full_name"] is None


async def test_nobody_changes_a_user_who_may_do_more_than_they(root, ada, bob):
    await give(root, ada, "users:update", "users:delete")
    role = await give(root, bob, "audit:read")
    place = f"/users/{bob.id}"
    refused = [
        await ada.patch(place, json={"email": "mine@example.com"}),
        await ada.delete(place),
        await ada.post(f"{place}/password-reset"),
    ]
    await root.patch(f"/roles/{role['id']}", json={"permissions": ["users:update"]})

    allowed = await ada.patch(place, json={"full_name": "Bob"})

    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert allowed.status_code == 200


async def test_only_superusers_make_superusers(root, ada, bob):
    await give(root, ada, *EVERYTHING)
    new = {"email": "new@example.com", "password": PASSWORD, "is_superuser": True}

    refused = [
        await ada.post("/users", json=new),
        await ada.post("/users/bulk", json=[new]),
        await ada.post("/users/bulk?dry_run=true", json=[new]),
        await ada.patch(f"/users/{bob.id}", json={"is_superuser": True}),
        await ada.patch("/users/me", json={"is_superuser": True}),
        await ada.patch("/users/me", json={"is_active": False}),
    ]
    created = await ada.post("/users", json=new | {"is_superuser": False, "is_active": False})

    assert [answer.status_code for answer in refused] == [422, 422, 200, 422, 422, 422]
    for answer in refused[:4]:
        assert answer.json()["details"][0]["message"] == "only a superuser may set this"
    assert created.json()["is_active"] is False


async def test_a_role_that_creates_users_needs_no_open_registration(settings, client, root, ada):
    await give(root, ada, "users:create")
    closed = settings.replaced(auth={"registration_enabled": False})
    async with running(closed) as app, browsing(app) as elsewhere:
        statuses = [
            (
                await replace(somebody, client=elsewhere).post(
                    "/users", json={"email": f"new{somebody.id}@example.com", "password": PASSWORD}
                )
            ).status_code
            for somebody in (ada, await person(client, app.state.runtime, "eve"))
        ]

    assert statuses == [201, 403]


async def test_a_change_of_a_role_is_seen_at_once_in_every_process(settings, client, root, ada):
    role = await give(root, ada, "users:read")
    place, roles = f"/roles/{role['id']}", f"/users/{ada.id}/roles"
    async with running(settings) as other_app, browsing(other_app) as elsewhere:
        both = ada, replace(ada, client=elsewhere)
        seen = []

        async def look() -> None:
            seen.append([(await one.get("/users")).status_code for one in both])

        await look()
        for method, path, body in (
            ("PATCH", place, {"permissions": ["stats:read"]}),
            ("PATCH", place, {"permissions": ["users:read"]}),
            ("PUT", roles, {"roles": []}),
            ("PUT", roles, {"roles": [role["name"]]}),
            ("DELETE", place, None),
        ):
            assert (await root.request(method, path, json=body)).is_success
            await look()

    assert seen == [[status] * 2 for status in (200, 403, 200, 403, 200, 403)]


async def test_a_change_of_a_role_is_one_entry_however_many_have_it(root, ada, bob, runtime):
    role = await give(root, ada, "users:read")
    await root.request("PUT", f"/users/{bob.id}/roles", json={"roles": [role["name"]]})
    for somebody in (ada, bob):
        await somebody.get("/users")
    redis = runtime.cache.redis
    before = {key: await redis.get(key) async for key in redis.scan_iter("myapi:cache:*")}

    await root.patch(f"/roles/{role['id']}", json={"permissions": ["stats:read"]})

    after = {key: await redis.get(key) async for key in redis.scan_iter("myapi:cache:*")}
    assert {key for key in after if after[key] != before.get(key)} == {
        f"myapi:cache:role:{role['id']}".encode()
    }
    assert [(await somebody.get("/users")).status_code for somebody in (ada, bob)] == [403, 403]


async def test_a_warm_request_with_a_role_sends_no_sql(root, ada, statements, runtime):
    await give(root, ada, "users:read", "metrics:read")
    await runtime.cache.redis.flushdb()
    for _ in range(2):
        statements.clear()
        assert (await ada.get("/metrics/database")).status_code == 200

    assert statements == []


async def test_a_slow_request_does_not_restore_an_old_role(runtime, client):
    cache = PrincipalCache(runtime.cache, "myapi:cache")
    user = UserSchema.model_validate(example_of(UserSchema) | {"is_superuser": False})
    roles = {7: frozenset({Permission.USERS_READ})}
    principal = principal_of(uuid4(), user, roles)
    token = AccessToken(user.id, principal.session_id)
    await cache.fill(principal, 100, roles)
    assert await cache.get(token) == principal

    await cache.forget_role(7)
    await cache.fill(principal, 100, roles)

    assert await cache.get(token) is None


async def test_an_admin_with_a_role_loses_the_page_with_it(root, ada, runtime):
    """Also what a process has seen, for an outage."""
    role = await give(root, ada, "stats:read", "metrics:read")
    read = runtime.tokens.read(ada.tokens["access_token"])
    token = runtime.tokens.sign(ada.id, read.session_id, "page")
    sessions = runtime.page_sessions
    await sessions.principal_during_outage(token)
    assert token in sessions._seen

    await root.delete(f"/roles/{role['id']}")

    assert token not in sessions._seen


async def test_two_managers_who_change_roles_at_once_both_succeed(root, ada, bob):
    names = ["first", "second"]
    for name in names:
        await new_role(root, name, "users:read")
    bodies = [{"roles": names}, {"roles": names[::-1]}]

    answers = await asyncio.gather(
        *(
            root.request("PUT", f"/users/{somebody.id}/roles", json=body)
            for _ in range(5)
            for somebody, body in zip((ada, bob), bodies, strict=True)
        )
    )

    assert {answer.status_code for answer in answers} == {200}


async def test_users_are_filtered_by_role(root, ada, bob):
    role = await give(root, ada, "users:read")
    found = {
        path: [
            user["email"]
            for user in (await root.get(path, params={"role": role["name"]})).json()["items"]
        ]
        for path in ("/users", "/users/cursor")
    }
    exported = await root.get("/users/export", params={"role": role["name"], "format": "ndjson"})
    none = (await root.get("/users?role=nobody")).json()

    assert found == {"/users": [ada.email], "/users/cursor": [ada.email]}
    assert exported.text.count("\n") == 1
    assert none["total"] == 0
    assert (await root.get("/users?role=No%20Name")).status_code == 422


async def test_changes_of_roles_are_in_the_audit_trail(root, ada, runtime):
    role = await give(root, ada, "users:read")
    place = f"/roles/{role['id']}"
    await root.patch(place, json={"permissions": ["users:read", "audit:read"]})
    await root.delete(place)

    query = text(
        "SELECT action, target, before, after FROM audit_events WHERE action LIKE 'role%' "
        "ORDER BY created_at, id"
    )
    async with runtime.engine.connect() as connection:
        created, assigned, updated, deleted = (await connection.execute(query)).all()
    assert (created.action, created.after["name"]) == ("role.created", role["name"])
    assert tuple(assigned) == (
        "roles.assigned",
        f"user:{ada.id}",
        {"roles": []},
        {"roles": [role["name"]]},
    )
    assert tuple(updated) == (
        "role.updated",
        f"role:{role['id']}",
        {"permissions": ["users:read"]},
        {"permissions": ["users:read", "audit:read"]},
    )
    assert (deleted.action, deleted.before["name"]) == ("role.deleted", role["name"])

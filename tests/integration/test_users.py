"""Signing up, and reading, changing and deleting users."""

import asyncio

import pytest
from sqlalchemy import text

from app.api.convertors import FIXED
from app.core.config import Settings
from main import create_app
from tests.conftest import PASSWORD, browsing, person

USERS = "/api/v1/users"


async def test_anonymous_clients_can_sign_up(client):
    response = await client.post(
        USERS,
        json={"email": "Ada@Example.COM", "password": PASSWORD, "full_name": "  Ada Lovelace "},
    )

    assert response.status_code == 201
    user = response.json()
    assert (
        user.items()
        >= {
            "email": "ada@example.com",
            "username": "ada",
            "full_name": "Ada Lovelace",
            "is_active": True,
            "is_superuser": False,
        }.items()
    )
    assert set(user) == {
        *("id", "email", "username", "full_name"),
        *("is_active", "is_superuser", "has_mfa", "email_verified_at"),
        *("created_at", "updated_at"),
    }


@pytest.mark.usefixtures("costly")
async def test_a_password_is_stored_as_argon2id_only(client, runtime):
    await client.post(USERS, json={"email": "ada@example.com", "password": PASSWORD})

    async with runtime.session_maker() as db:
        (hashed,) = await db.scalars(text("SELECT hashed_password FROM users"))
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    ("email", "username"),
    [
        ("ada.lovelace@example.com", "ada.lovelace"),
        ("ada+news@example.com", "ada-news"),
        ("al@example.com", "al-user"),
        ("日本@example.com", "user"),
        (f"{'x' * 60}@example.com", "x" * 32),
    ],
)
async def test_a_username_is_derived_from_the_email(client, email, username):
    response = await client.post(USERS, json={"email": email, "password": PASSWORD})

    assert response.json()["username"] == username


async def test_a_derived_username_that_is_taken_gets_an_ending(client, ada):
    response = await client.post(USERS, json={"email": "ADA@example.org", "password": PASSWORD})

    assert response.status_code == 201
    assert response.json()["username"].startswith("ada-")


async def test_many_may_sign_up_at_once_whose_usernames_would_be_the_same(client):
    sign_ups = [{"email": f"grace@{n}.example.com", "password": PASSWORD} for n in range(8)]

    responses = await asyncio.gather(*(client.post(USERS, json=body) for body in sign_ups))

    assert [response.status_code for response in responses] == [201] * 8
    assert len({response.json()["username"] for response in responses}) == 8


@pytest.mark.parametrize(
    ("taken", "field"),
    [
        ({"email": "ada@example.com"}, "email"),
        ({"email": "ADA@EXAMPLE.COM"}, "email"),
        ({"email": "other@example.com", "username": "ada"}, "username"),
        ({"email": "other@example.com", "username": "ADA"}, "username"),
    ],
)
async def test_a_taken_email_or_username_is_a_409_with_the_field(client, ada, taken, field):
    response = await client.post(USERS, json={"password": PASSWORD, **taken})

    assert response.status_code == 409
    assert response.json()["error"] == "conflict"
    assert response.json()["details"] == [
        {"field": field, "message": "already taken", "code": "taken"}
    ]


async def test_of_twenty_identical_sign_ups_at_once_one_succeeds(app, client):
    body = {"email": "ada@example.com", "password": PASSWORD}
    people = [browsing(app, f"198.51.100.{n}") for n in range(20)]  # each within their limit

    responses = await asyncio.gather(*(someone.post(USERS, json=body) for someone in people))

    assert sorted(response.status_code for response in responses) == [201] + [409] * 19


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "no address"},
        {"email": "ada@localhost@example.com"},
        {"email": f"{'a' * 65}@example.com"},
        {"email": f"ada@{'a' * 250}.com"},
        {"email": None},
        {"email": 7},
        {"email": "ada\x00@example.com"},
        {"password": "short"},
        {"password": ""},
        {"password": "x" * 257},
        {"password": None},
        {"username": "ab"},
        {"username": "a" * 33},
        {"username": "-ada"},
        {"username": "ada lovelace"},
        {"username": "ada\n"},
        {"username": "адa"},
        {"full_name": ""},
        {"full_name": "   "},
        {"full_name": "x" * 201},
        {"full_name": "Ada\x00Lovelace"},
        {"full_name": "Ada\nLovelace"},
        {"unknown": 1},
        {"is_active": False},
        {"is_superuser": True},
        {"is_superuser": False},
    ],
)
async def test_a_sign_up_with_a_wrong_value_is_a_422(client, runtime, wrong):
    body = {"email": "ada@example.com", "password": PASSWORD, **wrong}

    response = await client.post(USERS, json=body)

    assert response.status_code == 422
    (field,) = wrong
    assert [detail["field"] for detail in response.json()["details"]] == [field]
    async with runtime.session_maker() as db:
        assert await db.scalar(text("SELECT count(*) FROM users")) == 0


async def test_a_password_of_256_characters_counts_to_its_last(client):
    password = (PASSWORD * 10)[:255]
    await client.post(USERS, json={"email": "ada@example.com", "password": password + "y"})

    right, wrong = [
        await client.post(
            "/api/v1/auth/login", json={"email": "ada@example.com", "password": password + end}
        )
        for end in "yz"
    ]

    assert right.status_code == 200
    assert wrong.status_code == 401


async def test_a_superuser_may_create_users_of_any_kind(root):
    response = await root.post(
        "/users",
        json={
            "email": "eve@example.com",
            "password": PASSWORD,
            "is_active": False,
            "is_superuser": True,
        },
    )

    assert response.status_code == 201
    assert response.json()["is_active"] is False
    assert response.json()["is_superuser"] is True


@pytest.mark.parametrize(("who", "status"), [("nobody", 401), ("ada", 403), ("root", 201)])
async def test_with_registration_disabled_only_superusers_create_users(
    app, settings: Settings, client, ada, root, who, status
):
    closed = create_app(settings.replaced(auth={"registration_enabled": False}))
    async with closed.router.lifespan_context(closed), browsing(closed) as visitor:
        token = {"ada": ada, "root": root}[who].tokens["access_token"] if who != "nobody" else ""
        response = await visitor.post(
            USERS,
            json={"email": "new@example.com", "password": PASSWORD},
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

    assert response.status_code == status


async def test_a_bad_token_is_refused_even_where_none_is_needed(client):
    response = await client.post(
        USERS,
        json={"email": "ada@example.com", "password": PASSWORD},
        headers={"Authorization": "Bearer nonsense"},
    )

    assert response.status_code == 401


async def test_users_read_their_own_profile(ada):
    me, by_id = await ada.get("/users/me"), await ada.get(f"/users/{ada.id}")

    assert me.status_code == by_id.status_code == 200
    assert me.json() == by_id.json()
    assert me.json()["email"] == ada.email


async def test_others_are_seen_by_superusers_only(ada, bob, root):
    assert (await ada.get(f"/users/{bob.id}")).status_code == 403
    assert (await ada.get("/users/999999")).status_code == 403
    assert (await root.get(f"/users/{bob.id}")).json()["username"] == "bob"
    assert (await root.get("/users/999999")).status_code == 404


@pytest.mark.parametrize("user_id", ["0", "-1", "9223372036854775808", "x", "1.5", "%00", "١٢x"])
async def test_an_impossible_id_is_a_422(root, user_id):
    for method in ("GET", "PATCH", "DELETE"):
        body: dict[str, str] | None = {} if method == "PATCH" else None
        assert (await root.request(method, f"/users/{user_id}", json=body)).status_code == 422


def test_no_other_routes_path_is_taken_for_an_id(app):
    paths = [path.split("/") for path in app.openapi()["paths"]]

    ids = "{user_id}", "{key_id}", "{passkey_id}"
    beside_ids = {
        parts[len(before)]
        for before in (["", "api", "v1", "users"], ["", "api", "v1", "api-keys"])
        for parts in paths
        if parts[: len(before)] == before and len(parts) > len(before)
    }
    passkeys = {parts[-1] for parts in paths if parts[-2:-1] == ["passkeys"]} - {"passkeys"}

    assert beside_ids | passkeys == {*ids, *FIXED}


async def test_another_method_on_another_routes_path_is_a_405(root):
    response = await root.delete("/users/me")

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) >= {"GET", "PATCH"}


async def test_a_patch_changes_only_the_fields_sent(ada):
    before = (await ada.get("/users/me")).json()

    changed = {"full_name": "Ada King", "username": "countess"}

    response = await ada.patch("/users/me", json=changed)

    after = response.json()
    assert response.status_code == 200
    assert after == {**before, **changed, "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    assert (await ada.get("/users/me")).json() == after


async def test_a_full_name_can_be_taken_back(ada):
    await ada.patch("/users/me", json={"full_name": "Ada"})

    response = await ada.patch("/users/me", json={"full_name": None})

    assert response.json()["full_name"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": None},
        {"username": None},
        {"email": "nonsense"},
        {"is_active": True},
        {"is_superuser": True},
        {"password": PASSWORD},
        {"id": 7},
    ],
)
async def test_a_change_that_is_not_allowed_is_a_422(ada, wrong):
    before = (await ada.get("/users/me")).json()

    response = await ada.patch("/users/me", json=wrong)

    assert response.status_code == 422
    assert (await ada.get("/users/me")).json() == before


async def test_a_change_to_what_is_taken_is_a_409(ada, bob, root):
    email = await root.patch(f"/users/{ada.id}", json={"email": "BOB@example.com"})
    username = await ada.patch("/users/me", json={"username": "Bob"})

    assert email.status_code == username.status_code == 409
    assert email.json()["details"][0]["field"] == "email"
    assert username.json()["details"][0]["field"] == "username"


async def test_a_username_may_change_its_case(ada):
    response = await ada.patch("/users/me", json={"username": "Ada"})

    assert response.json()["username"] == "Ada"


async def test_others_are_changed_by_superusers_only(ada, bob, root):
    refused = await ada.patch(f"/users/{bob.id}", json={"full_name": "Mallory"})
    changed = await root.patch(f"/users/{bob.id}", json={"full_name": "Robert"})

    assert refused.status_code == 403
    assert changed.json()["full_name"] == "Robert"


async def test_a_deactivated_user_is_out_at_once_and_stays_out(client, ada, root):
    await root.patch(f"/users/{ada.id}", json={"is_active": False})

    assert (await ada.get("/users/me")).status_code == 401
    credentials = {"email": ada.email, "password": ada.password}
    assert (await client.post("/api/v1/auth/login", json=credentials)).status_code == 401
    await root.patch(f"/users/{ada.id}", json={"is_active": True})
    assert (await ada.get("/users/me")).status_code == 401
    await ada.login()
    assert (await ada.get("/users/me")).status_code == 200


async def test_a_demoted_superuser_is_a_plain_user_at_once(client, runtime, root):
    other = await person(client, runtime, "other", is_superuser=True)

    await root.patch(f"/users/{other.id}", json={"is_superuser": False})

    assert (await other.get("/users")).status_code == 403


async def test_a_deleted_user_and_their_sessions_are_gone(client, ada, root, runtime):
    response = await root.delete(f"/users/{ada.id}")

    assert response.status_code == 204
    assert response.content == b""
    assert (await ada.get("/users/me")).status_code == 401
    assert (await root.get(f"/users/{ada.id}")).status_code == 404
    assert (await root.delete(f"/users/{ada.id}")).status_code == 404
    async with runtime.session_maker() as db:
        left = await db.scalar(
            text("SELECT count(*) FROM sessions WHERE user_id = :id"), {"id": ada.id}
        )
    assert left == 0


async def test_only_superusers_delete(ada, bob):
    assert (await ada.delete(f"/users/{bob.id}")).status_code == 403
    assert (await ada.delete(f"/users/{ada.id}")).status_code == 403


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_superuser": False}, None])
async def test_the_last_active_superuser_has_to_stay(root, change):
    path = f"/users/{root.id}"

    response = await (root.patch(path, json=change) if change else root.delete(path))

    assert response.status_code == 409
    assert (await root.get("/users/me")).json()["is_superuser"] is True


async def test_a_superuser_who_is_inactive_does_not_count(client, runtime, root):
    await person(client, runtime, "other", is_superuser=True)
    await root.patch("/users/2", json={"is_active": False})

    assert (await root.delete(f"/users/{root.id}")).status_code == 409


async def test_one_of_two_superusers_who_demote_each_other_at_once_remains(client, runtime, root):
    for turn in range(5):
        other = await person(client, runtime, f"other{turn}", is_superuser=True)

        responses = await asyncio.gather(
            root.patch(f"/users/{other.id}", json={"is_superuser": False}),
            other.patch(f"/users/{root.id}", json={"is_superuser": False}),
        )

        assert sorted(r.status_code for r in responses) in ([200, 403], [200, 409])
        async with runtime.session_maker() as db:
            count = await db.scalar(text("SELECT count(*) FROM users WHERE is_superuser"))
            assert count == 1
            await db.execute(text("UPDATE users SET is_superuser = id = :id"), {"id": root.id})
            await db.commit()


async def test_users_are_listed_newest_first_page_by_page(client, runtime, root):
    async with runtime.session_maker() as db:
        await db.execute(
            text(
                "INSERT INTO users (email, username, hashed_password)"
                " SELECT n || '@example.com', 'user' || n, '' FROM generate_series(1, 24) n"
            )
        )
        await db.commit()

    pages = [
        (await root.get("/users", params={"page": page, "size": 10})).json()
        for page in (1, 2, 3, 4)
    ]

    assert [len(page["items"]) for page in pages] == [10, 10, 5, 0]
    ids = [user["id"] for page in pages for user in page["items"]]
    assert ids == sorted(ids, reverse=True)  # one statement made them: ties are broken by id
    assert pages[1] | {"items": []} == {"items": [], "total": 25, "page": 2, "size": 10, "pages": 3}
    assert "hashed_password" not in pages[0]["items"][0]


@pytest.mark.parametrize("params", ["page=0", "size=0", "size=101", "page=1000001", "page=x"])
async def test_an_impossible_page_is_a_422(root, params):
    assert (await root.get(f"/users?{params}")).status_code == 422


async def test_the_list_is_for_superusers(client, ada):
    assert (await client.get(USERS)).status_code == 401
    assert (await ada.get("/users")).status_code == 403


def test_the_document_has_a_schema_for_signing_up_and_one_for_superusers(app):
    """U9: a generator of clients shows nobody a field that it would be wrong to send."""
    document = app.openapi()
    schemas = document["components"]["schemas"]
    (json_body,) = document["paths"]["/api/v1/users"]["post"]["requestBody"]["content"].values()

    named = [schema["$ref"].rpartition("/")[2] for schema in json_body["schema"]["anyOf"]]
    assert named == ["UserSignUp", "UserCreate"]
    assert set(schemas["UserSignUp"]["properties"]) == {
        *("email", "password", "username", "full_name")
    }
    assert set(schemas["UserCreate"]["properties"]) == {
        *("email", "password", "username", "full_name", "is_active", "is_superuser")
    }
    assert schemas["UserSignUp"]["required"] == ["email", "password"]
    assert schemas["UserCreate"]["required"] == ["email", "password"]


def test_no_schema_of_a_request_has_a_default(app):
    """U9: openapi-typescript takes a field with a default for one that has to be sent."""
    document = app.openapi()
    sent = {"UserSignUp", "UserCreate", "BulkUserCreate", "UserUpdate", "LoginRequest"} | {
        *("RefreshRequest", "PasswordChange")
    }

    assert {
        (name, field)
        for name in sent
        for field, value in document["components"]["schemas"][name]["properties"].items()
        if "default" in value
    } == set()


async def test_fields_that_a_superuser_leaves_out_have_the_usual_defaults(root):
    """U9"""
    bare = {"email": "a@example.com", "password": PASSWORD}

    created = await root.post("/users", json=bare)
    other = await root.post(
        "/users", json=bare | {"email": "b@example.com", "is_active": False, "is_superuser": True}
    )
    listed = await root.post(
        "/users/bulk",
        json=[bare | {"email": "c@x.org"}, bare | {"email": "d@x.org", "is_active": False}],
    )

    states = [(user["is_active"], user["is_superuser"]) for user in listed.json()]
    assert (created.json()["is_active"], created.json()["is_superuser"]) == (True, False)
    assert (other.json()["is_active"], other.json()["is_superuser"]) == (False, True)
    assert states == [(True, False), (False, False)]


@pytest.mark.parametrize("flag", ["is_active", "is_superuser"])
async def test_a_flag_that_is_null_is_refused(root, flag):
    """U9"""
    response = await root.post(
        "/users", json={"email": "a@example.com", "password": PASSWORD, flag: None}
    )

    assert response.status_code == 422
    assert [detail["field"] for detail in response.json()["details"]] == [flag]

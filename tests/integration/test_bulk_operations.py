"""Many users at once: all of them, or none and every reason why."""

import asyncio
import json
import threading
import warnings

import bcrypt
import pytest
from argon2 import PasswordHasher as Argon2
from argon2 import Type
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.seed import SeedService
from app.core.config import Settings
from app.core.exceptions import ConflictException
from app.core.security.passwords import hashing
from app.repositories.user.repository import UserRepository
from app.schemas.bulk import BulkUserCreate
from app.services.idempotency import IdempotencyService, IdempotentRequest
from app.services.user.service import UserService
from tests.conftest import PASSWORD, browsing, running

BULK = "/users/bulk"
HASH = (  # of PASSWORD, as this service makes them
    "$argon2id$v=19$m=19456,t=2,p=1$MTIzNDU2NzgxMjM0NTY3OA$"
    "PDQKr8dEbVH7gKW6zOcmc1lVcV0kbBwN0Qg2DvCLCvc"
)


def people(count: int, **fields: object) -> list[dict[str, object]]:
    """Rows that cost no hashing, unless `fields` have a password."""
    secret = {} if "password" in fields else {"hashed_password": HASH}
    return [{"email": f"person{n}@example.com", **secret, **fields} for n in range(count)]


async def count_users(runtime) -> int:
    async with runtime.session_maker() as db:
        return (await db.scalar(text("SELECT count(*) FROM users"))) or 0


@pytest.fixture
def statements(runtime):
    """The SQL that the application has sent since the test began."""
    sent: list[str] = []

    def note(connection, cursor, statement, *_) -> None:
        sent.append(statement)

    engine = runtime.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


SIX = [
    "unnest",
    "pg_advisory_xact_lock",
    "SAVEPOINT",
    "INSERT INTO users",
    "RELEASE",
    "INSERT INTO audit_events",
]
"""What a list takes, however long: one look into the table, one list at a time, one insert of users
and one of their events."""


def kinds(statements: list[str]) -> list[str]:
    return [
        next((kind for kind in SIX if sql.startswith(kind) or f"{kind}(" in sql), sql)
        for sql in statements
    ]


async def test_a_list_of_users_is_created(root):
    rows = [
        {"email": "Ada@Example.com", "password": PASSWORD, "full_name": "Ada Lovelace"},
        {"email": "bob@example.com", "password": PASSWORD, "username": "Bobby", "is_active": False},
        {"email": "eve@example.com", "password": PASSWORD, "is_superuser": True},
    ]

    response = await root.post(BULK, json=rows)

    assert response.status_code == 201
    created = response.json()
    assert [user["email"] for user in created] == [
        "ada@example.com",
        "bob@example.com",
        "eve@example.com",
    ]
    assert [user["username"] for user in created] == ["ada", "Bobby", "eve"]
    assert [user["is_active"] for user in created] == [True, False, True]
    assert [user["is_superuser"] for user in created] == [False, False, True]
    assert created[0]["full_name"] == "Ada Lovelace"
    assert created[0].keys() == (await root.get("/users/me")).json().keys()


async def test_users_created_in_bulk_can_log_in(client, root):
    await root.post(BULK, json=people(3, password=PASSWORD))

    response = await client.post(
        "/api/v1/auth/login", json={"email": "person2@example.com", "password": PASSWORD}
    )

    assert response.status_code == 200


async def test_five_hundred_users_take_one_query_and_one_insert(root, statements):
    await root.get("/users/me")
    statements.clear()

    response = await root.post(BULK, json=people(500))

    assert response.status_code == 201
    assert len(response.json()) == 500
    assert [user["id"] for user in response.json()] == sorted(u["id"] for u in response.json())
    assert kinds(statements) == SIX


async def test_every_invalid_or_conflicting_row_is_named(root, ada, runtime):
    before = await count_users(runtime)
    rows = [
        {"email": "fine@example.com", "password": PASSWORD},
        {"email": "no address", "password": "short", "username": "-"},
        {"email": "ADA@example.com", "password": PASSWORD},
        {"email": "new@example.com", "password": "password123"},
        {"email": "fine@example.com", "password": PASSWORD, "username": "ROOT"},
        "nobody",
        {"password": PASSWORD, "id": 7},
        {"email": "none@example.com"},
    ]

    response = await root.post(BULK, json=rows)

    assert response.status_code == 422
    named = [(detail["index"], detail["field"]) for detail in response.json()["details"]]
    assert named == [
        (1, "email"),
        (1, "username"),
        (2, "email"),
        (3, "password"),
        (4, "email"),
        (4, "username"),
        (5, "row"),
        (6, "email"),
        (6, "id"),
        (7, "password"),
    ]
    assert {detail["message"] for detail in response.json()["details"] if detail["index"] == 4} == {
        "the same as in row 0",
        "already taken",
    }
    assert await count_users(runtime) == before


async def test_collisions_alone_are_a_409_that_names_them_all(root, ada, runtime):
    before = await count_users(runtime)
    rows = people(6)
    rows[1] |= {"email": ada.email}
    rows[3] |= {"username": "twin"}
    rows[4] |= {"username": "Twin"}
    rows[5] |= {"username": "ADA"}

    response = await root.post(BULK, json=rows)

    assert response.status_code == 409
    assert response.json()["details"] == [
        {"index": 1, "field": "email", "message": "already taken", "code": "taken"},
        {"index": 4, "field": "username", "message": "the same as in row 3", "code": "repeated"},
        {"index": 5, "field": "username", "message": "already taken", "code": "taken"},
    ]
    assert await count_users(runtime) == before


async def test_a_refusal_repeats_nothing_of_what_was_sent(root):
    secret = "Hunter2-is-mine"
    rows = [
        {"email": secret, "password": secret, "username": secret * 9, "full_name": "\0" + secret},
        {"email": f"{secret} x", "hashed_password": secret, "is_active": secret},
        secret,
        {"email": "x@example.com", "hashed_password": f"$2b$12${secret}"},
    ]

    response = await root.post(BULK, json=rows)

    assert response.status_code == 422
    assert {detail["index"] for detail in response.json()["details"]} == {0, 1, 2, 3}
    assert "hunter2" not in response.text.lower()


async def test_usernames_that_are_derived_are_unique_in_the_list_and_the_table(root, ada):
    rows = [
        {"email": "ada@one.example.com", "hashed_password": HASH},
        {"email": "grace@one.example.com", "hashed_password": HASH},
        {"email": "grace@two.example.com", "hashed_password": HASH},
        {"email": "x@example.com", "hashed_password": HASH, "username": "LINUS"},
        {"email": "linus@example.com", "hashed_password": HASH},
    ]

    created = (await root.post(BULK, json=rows)).json()

    names = [user["username"] for user in created]
    assert names[0].startswith("ada-")
    assert names[1] == "grace"
    assert names[2].startswith("grace-")
    assert names[3] == "LINUS"
    assert names[4].startswith("linus-")


@pytest.mark.parametrize(
    ("count", "status", "said"), [(0, 422, "at most 500"), (501, 422, "at most 500")]
)
async def test_an_empty_list_and_one_too_long_are_refused(root, runtime, count, status, said):
    response = await root.post(BULK, json=people(count))

    assert response.status_code == status
    (detail,) = response.json()["details"]
    assert said in detail["message"]
    assert "USERS_BULK_MAX" in detail["message"]
    assert await count_users(runtime) == 1


async def test_a_list_beyond_any_limit_is_not_even_read(root):
    response = await root.post(BULK, json=[0] * 10_001)

    assert response.status_code == 422
    assert [detail["field"] for detail in response.json()["details"]] == ["body"]


@pytest.mark.parametrize("body", [{}, None, "x", 7, {"0": {}}])
async def test_a_body_that_is_no_list_is_refused(root, body):
    response = await root.post(BULK, json=body)

    assert response.status_code == 422
    assert set(response.json()) == {"error", "message", "details", "request_id"}


async def test_a_body_that_is_too_large_is_refused(root):
    response = await root.post(BULK, json=people(500, full_name="x" * 200, password="y" * 2000))

    assert response.status_code == 413


async def test_the_limit_is_a_setting(app, settings: Settings, root):
    async with running(settings.replaced(users={"bulk_max": 2})) as small, browsing(small) as them:
        root.client = them
        refused = await root.post(BULK, json=people(3))
        accepted = await root.post(BULK, json=people(2))

    assert "at most 2 " in refused.json()["details"][0]["message"]
    assert accepted.status_code == 201


async def test_a_dry_run_accepts_and_writes_nothing(root, runtime, statements):
    response = await root.post(BULK, json=people(3, password=PASSWORD), params={"dry_run": True})

    assert response.status_code == 200
    assert response.json() == {"total": 3, "is_acceptable": True, "details": []}
    assert await count_users(runtime) == 1
    assert not [sql for sql in statements if sql.startswith(("INSERT", "UPDATE"))]


async def test_a_dry_run_reports_what_would_be_refused(root, ada):
    rows = [{"email": ada.email, "password": PASSWORD}, {"email": "x", "password": PASSWORD}]

    response = await root.post(BULK, json=rows, params={"dry_run": True})

    assert response.status_code == 200
    assert response.json() == {
        "total": 2,
        "is_acceptable": False,
        "details": [
            {"index": 0, "field": "email", "message": "already taken", "code": "taken"},
            {
                "index": 1,
                "field": "email",
                "message": "not a valid email address",
                "code": "malformed",
            },
        ],
    }


async def test_of_two_identical_lists_at_once_one_is_created_and_one_names_every_row(root, runtime):
    rows = people(50, password=PASSWORD)

    responses = await asyncio.gather(*(root.post(BULK, json=rows) for _ in range(2)))

    created, refused = sorted(responses, key=lambda response: response.status_code)
    assert (created.status_code, refused.status_code) == (201, 409)
    assert [detail["index"] for detail in refused.json()["details"]] == list(range(50))
    assert await count_users(runtime) == 51


async def test_lists_that_share_users_in_another_order_do_not_wait_for_each_other(root, runtime):
    rows = people(200)

    responses = await asyncio.gather(
        *(root.post(BULK, json=some) for some in (rows, rows[::-1], rows[100:] + rows[:100]))
    )

    assert sorted(response.status_code for response in responses) == [201, 409, 409]
    assert await count_users(runtime) == 201


class Interrupted(UserService):
    """Somebody signs up at the worst moment: after the look into the table, before the insert."""

    first: str

    async def hash_passwords(self, drafts) -> None:
        await super().hash_passwords(drafts)
        async with AsyncSession(self.db.bind) as other:
            await other.execute(text(self.first))
            await other.commit()


@pytest.mark.parametrize(
    ("email", "username", "fault"),
    [
        ("person1@example.com", "other", (1, "email")),
        ("other@example.com", "Person2", (2, "username")),
    ],
)
async def test_a_sign_up_in_between_ends_in_a_409_that_names_the_row(
    client, runtime, email, username, fault
):
    rows = [BulkUserCreate.model_validate(row) for row in people(3)]
    rows = [row.model_copy(update={"username": f"person{n}"}) for n, row in enumerate(rows)]
    async with runtime.session_maker() as db:
        users = Interrupted(
            db,
            runtime.passwords,
            runtime.password_policy,
            runtime.principals,
            runtime.settings.auth,
        )
        users.first = (
            "INSERT INTO users (email, username, hashed_password) "
            f"VALUES ('{email}', '{username}', 'none')"
        )
        with pytest.raises(ConflictException) as caught:
            await users.create_users_bulk(rows)

    (detail,) = caught.value.details
    assert (detail["index"], detail["field"]) == fault
    assert await count_users(runtime) == 1


async def test_a_derived_username_that_is_taken_in_between_gets_an_ending(client, runtime):
    rows = [BulkUserCreate.model_validate(row) for row in people(3)]
    async with runtime.session_maker() as db:
        users = Interrupted(
            db,
            runtime.passwords,
            runtime.password_policy,
            runtime.principals,
            runtime.settings.auth,
        )
        users.first = (
            "INSERT INTO users (email, username, hashed_password) "
            "VALUES ('other@example.com', 'person1', 'none')"
        )
        created = await users.create_users_bulk(rows)

    assert [user.username[:8] for user in created] == ["person0", "person1-", "person2"]


async def test_an_answer_that_cannot_be_stored_undoes_the_users(client, runtime, monkeypatch):
    async def fail(*_) -> None:
        raise RuntimeError

    monkeypatch.setattr(IdempotencyService, "store", fail)
    request = IdempotentRequest(1, "create_users_bulk", "key-1", [b"f" * 32])
    async with runtime.session_maker() as db:
        users = runtime.user_service(db)
        with pytest.raises(RuntimeError):
            await users.create_users_bulk(
                [BulkUserCreate.model_validate(row) for row in people(3)], request
            )

    assert await count_users(runtime) == 0


async def test_logins_go_on_while_a_list_is_hashed(root, monkeypatch):
    has_begun, go_on = threading.Event(), threading.Event()
    now = hashing._CONTEXT.hash

    def when_told(password: str) -> str:
        has_begun.set()
        go_on.wait(60)
        return now(password)

    monkeypatch.setattr(hashing._CONTEXT, "hash", when_told)
    listing = asyncio.create_task(root.post(BULK, json=people(100, password=PASSWORD)))
    await asyncio.to_thread(has_begun.wait, 60)

    logins = [await root.login() for _ in range(3)]

    assert not listing.done()
    assert len(logins) == 3
    go_on.set()
    assert (await listing).status_code == 201


async def test_a_list_longer_than_the_queue_of_logins_is_hashed(root, runtime):
    response = await root.post(BULK, json=people(150, password=PASSWORD))

    assert response.status_code == 201


@pytest.mark.usefixtures("costly")
async def test_a_list_has_more_time_than_other_requests(app, settings: Settings, root):
    short = settings.replaced(server={"request_timeout": 1.0})
    async with running(short) as hasty, browsing(hasty) as them:
        root.client = them
        response = await root.post(BULK, json=people(150, password=PASSWORD))

    assert response.status_code == 201


async def test_each_look_into_a_large_table_is_by_index(app, root, runtime):
    async with runtime.session_maker() as db:
        await SeedService(db, runtime.passwords).seed(20_000, PASSWORD, lambda _: None)
    async with runtime.session_maker() as db:
        # A plan that is made before the values are known, as for every statement used often.
        await db.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        asked: list[str] = []
        engine = runtime.engine.sync_engine

        def note(connection, cursor, statement, *_) -> None:
            asked.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        await UserRepository(db).taken(["a@example.com"], ["a"])
        event.remove(engine, "before_cursor_execute", note)
        (look,) = asked
        await db.execute(text(f"PREPARE look AS {look}"))
        values = "'email', ARRAY['a@example.com'], 'username', ARRAY['a']"
        plan = "\n".join(await db.scalars(text(f"EXPLAIN EXECUTE look ({values})")))

    assert "using uq_users_email" in plan
    assert "using uq_users_username_lower" in plan
    assert "Seq Scan" not in plan


# Hashes that are brought along


def bcrypted(ident: str, cost: int = 4) -> str:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost)).decode()
    return hashed.replace("$2b$", f"${ident}$", 1)


def argon2ed(memory: int, passes: int, lanes: int, salt: int = 16, digest: int = 32) -> str:
    return Argon2(passes, memory, lanes, digest, salt, type=Type.ID).hash(PASSWORD)


async def hash_of(runtime, email: str) -> str:
    async with runtime.session_maker() as db:
        hashed: str = await db.scalar(
            text("SELECT hashed_password FROM users WHERE email = :email"), {"email": email}
        )
    return hashed


@pytest.mark.usefixtures("costly")
@pytest.mark.parametrize(
    "hashed",
    [
        bcrypted("2a"),
        bcrypted("2b"),
        bcrypted("2y"),
        bcrypted("2b", cost=10),
        argon2ed(8192, 1, 4),
        argon2ed(102_400, 2, 8),
        argon2ed(65_536, 3, 4, salt=32, digest=64),
    ],
    ids=["2a", "2b", "2y", "2b-10", "argon2-8", "argon2-100", "argon2-long"],
)
async def test_an_imported_hash_logs_in_and_is_replaced(client, root, runtime, hashed):
    rows = [{"email": "ada@example.com", "hashed_password": hashed}]
    assert (await root.post(BULK, json=rows)).status_code == 201
    credentials = {"email": "ada@example.com", "password": PASSWORD}

    wrong = await client.post("/api/v1/auth/login", json=credentials | {"password": "wrong"})
    first = await client.post("/api/v1/auth/login", json=credentials)
    renewed = await hash_of(runtime, "ada@example.com")
    second = await client.post("/api/v1/auth/login", json=credentials)

    assert wrong.status_code == 401
    assert first.status_code == second.status_code == 200
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


SALT, DIGEST = "MTIzNDU2NzgxMjM0NTY3OA", "PDQKr8dEbVH7gKW6zOcmc1lVcV0kbBwN0Qg2DvCLCvc"
BCRYPT = "$2b$10$" + "N9qo8uLOickgx2ZMRZoMye" + "IjZAgcfl7p92ldGxad68LJZdL17lhWy"


@pytest.mark.parametrize(
    "hashed",
    [
        "",
        "!",
        "secret",
        "{PLAIN}secret",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        f"$argon2i$v=19$m=19456,t=2,p=1${SALT}${DIGEST}",
        f"$argon2id$v=16$m=19456,t=2,p=1${SALT}${DIGEST}",
        f"$argon2id$m=19456,t=2,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=2097152,t=1,p=4${SALT}${DIGEST}",
        f"$argon2id$v=19$m=131073,t=1,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=131072,t=5,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=8,t=9999,p=17${SALT}${DIGEST}",
        f"$argon2id$v=19$m=136,t=2,p=17${SALT}${DIGEST}",
        f"$argon2id$v=19$m=7,t=2,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=019456,t=2,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=19456,t=0,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=19456,t=2,p=1$c2hvcnQ${DIGEST}",
        f"$argon2id$v=19$m=19456,t=2,p=1${SALT}${DIGEST}==",
        f"$argon2id$v=19$m=19456,t=2,p=1${SALT}${DIGEST}AA",
        f"$argon2id$v=19$m=19456,t=2,p=1${SALT}",
        f"$argon2id$v=19$m=19456,t=2,p=1${SALT}${DIGEST}\n",
        BCRYPT.replace("$10$", "$31$"),
        BCRYPT.replace("$10$", "$15$"),
        BCRYPT.replace("$10$", "$03$"),
        BCRYPT.replace("$10$", "$4$"),
        BCRYPT.replace("$2b$", "$2x$"),
        BCRYPT.replace("$2b$", "$2$"),
        BCRYPT[:-1],
        BCRYPT + ".",
        BCRYPT[:-1] + "z",
        BCRYPT + "\n",
        "٣".join(BCRYPT.split("1", 1)),
    ],
)
async def test_an_invalid_or_too_expensive_hash_is_refused_with_its_row(root, runtime, hashed):
    rows = [*people(2), {"email": "ada@example.com", "hashed_password": hashed}]

    response = await root.post(BULK, json=rows)

    assert response.status_code == 422
    assert [(d["index"], d["field"]) for d in response.json()["details"]] == [
        (2, "hashed_password")
    ]
    assert await count_users(runtime) == 1


@pytest.mark.parametrize(
    "hashed",
    [
        f"$argon2id$v=19$m=131072,t=4,p=16${SALT}${DIGEST}",
        f"$argon2id$v=19$m=8,t=9999,p=1${SALT}${DIGEST}",
        BCRYPT,
        BCRYPT.replace("$10$", "$14$"),
        BCRYPT.replace("$10$", "$04$"),
    ],
)
async def test_the_costliest_hash_that_is_accepted_is_verified(root, runtime, hashed):
    rows = [{"email": "ada@example.com", "hashed_password": hashed}]

    response = await root.post(BULK, json=rows)
    with warnings.catch_warnings(record=True) as warned:
        is_right, _ = await runtime.passwords.verify("wrong", hashed)

    assert response.status_code == 201
    assert not is_right
    assert warned == []


@pytest.mark.parametrize(
    "secrets", [{}, {"password": None}, {"password": PASSWORD, "hashed_password": HASH}]
)
async def test_there_is_either_a_password_or_a_hash(root, secrets):
    response = await root.post(BULK, json=[{"email": "ada@example.com", **secrets}])

    assert response.status_code == 422
    (detail,) = response.json()["details"]
    assert detail == {
        "index": 0,
        "field": "password",
        "message": "give either a password or a hashed_password",
        "code": "invalid",
    }


async def test_a_sign_up_with_a_hash_is_refused(client):
    body = {"email": "ada@example.com", "hashed_password": HASH}

    response = await client.post("/api/v1/users", json=body)

    assert response.status_code == 422
    assert {d["field"] for d in response.json()["details"]} == {"password", "hashed_password"}


async def test_a_thousand_hashes_are_brought_along_in_six_statements(app, settings: Settings, root):
    async with running(settings.replaced(users={"bulk_max": 1000})) as large:
        sent: list[str] = []
        event.listen(
            large.state.runtime.engine.sync_engine,
            "before_cursor_execute",
            lambda _, __, statement, *___: sent.append(statement),
        )
        async with browsing(large) as them:
            root.client = them
            await root.get("/users/me")
            sent.clear()
            response = await root.post(BULK, json=people(1000))

    assert response.status_code == 201
    assert len(json.loads(response.text)) == 1000
    assert kinds(sent) == SIX

"""The command line and the server it starts, as somebody with a fresh checkout meets them."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text

from app.core.config import Settings
from app.database import get_engine
from app.database.migrations import migrate
from app.database.schema_state import head_revision
from app.embedded.files import free_port
from tests.conftest import PASSWORD, Person, Servers, browsing, running
from tests.launcher import answers, launched
from tests.range_api import range_api

pytestmark = pytest.mark.direct

ADMIN = "admin@example.com"
COPIED = "app", "alembic", "alembic.ini", "main.py", "pyproject.toml"
START = 30  # seconds, on a slow machine that makes the database first
CLI = "-m", "app.cli"

Environment = dict[str, str]


@dataclass(frozen=True)
class Ended:
    """What a process said, and how it ended."""

    code: int
    output: str

    @property
    def generated_password(self) -> str:
        (password,) = re.findall(r"password +(\S+)", self.output)
        return str(password)


@dataclass(frozen=True)
class Project:
    """A copy of the project, with its own `.local/`.

    Attributes:
        typed: what is typed at a command's prompts.
    """

    path: Path
    typed: str | None = None

    def typing(self, text: str) -> "Project":
        return replace(self, typed=text)

    def environment(self, **settings: str) -> Environment:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, "PYTHONPATH": str(self.path), "SERVER_DRAIN": "0", **settings}

    def popen(self, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.path,
            env=self.environment(**settings),
            stdin=subprocess.DEVNULL if self.typed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **settings: str) -> Ended:
        process = self.popen(*arguments, **settings)
        try:
            output, _ = process.communicate(self.typed, timeout=60)
        finally:
            process.kill()
        return Ended(process.returncode, output)

    def cli(self, *arguments: str, **settings: str) -> Ended:
        return self.run(*CLI, *arguments, **settings)

    def processes(self) -> list[psutil.Process]:
        """All that are at work in the copy."""
        found = []
        for process in psutil.process_iter():
            try:
                places = [process.cwd(), *process.cmdline()]
            except (psutil.Error, OSError):
                continue
            if any(place.startswith(str(self.path)) for place in places):
                found.append(process)
        return found

    def servers(self) -> list[str]:
        """Names of the embedded servers that run, without their own children."""
        parents, names = {}, {}
        for process in self.processes():
            with suppress(psutil.Error):  # PostgreSQL's helpers come and go
                if ".local" in process.cwd():
                    parents[process.pid], names[process.pid] = process.ppid(), process.name()
        return sorted(name for pid, name in names.items() if parents[pid] not in names)


@dataclass(frozen=True)
class Visit:
    """A server that runs, or has ended."""

    process: "subprocess.Popen[bytes]"
    log: Path
    client: httpx.Client

    def end(self, how: signal.Signals) -> Ended:
        self.process.send_signal(how)
        return Ended(self.process.wait(START), self.log.read_text())

    def login(self, email: str, password: str) -> httpx.Response:
        return self.client.post("/api/v1/auth/login", json={"email": email, "password": password})


@contextmanager
def visiting(project: Project, *arguments: str, **settings: str) -> Iterator[Visit]:
    """Start a server on a free port, and never leave it running."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        tempfile.NamedTemporaryFile() as log,
        launched(
            [sys.executable, *arguments, "--port", str(port)],
            Path(log.name),
            partial(answers, f"{url}/health/live"),
            environment=project.environment(**settings),
            folder=project.path,
            seconds=START,
        ) as process,
        httpx.Client(base_url=url, timeout=10) as client,
    ):
        yield Visit(process, Path(log.name), client)


@pytest.fixture(scope="module")
def project(repository: Path) -> Iterator[Project]:
    """Where every user may enter: PostgreSQL may have to run as another one."""
    path = Path(tempfile.mkdtemp(prefix="project-"))
    path.chmod(0o755)
    for name in COPIED:
        source = repository / name
        if source.is_dir():
            shutil.copytree(source, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, path)
    project = Project(path)
    yield project
    for process in project.processes():
        process.kill()
    shutil.rmtree(path)


@dataclass(frozen=True)
class Start:
    """A start without any configuration, from the first line to the last."""

    url: str
    ended: Ended
    health: dict[str, Any]
    docs: int
    login: int | None
    left: list[psutil.Process]


@pytest.fixture(scope="module")
def first_start(project: Project) -> Start:
    with visiting(project, *CLI, "serve") as visit:
        health, docs = visit.client.get("/health").json(), visit.client.get("/docs").status_code
        ended = visit.end(signal.SIGTERM)
    return Start(str(visit.client.base_url), ended, health, docs, None, project.processes())


@pytest.fixture(scope="module")
def second_start(project: Project, first_start: Start) -> Start:
    with visiting(project, *CLI, "serve") as visit:
        health, docs = visit.client.get("/health").json(), visit.client.get("/docs").status_code
        login = visit.login(ADMIN, first_start.ended.generated_password).status_code
        ended = visit.end(signal.SIGINT)
    return Start(str(visit.client.base_url), ended, health, docs, login, project.processes())


@asynccontextmanager
async def database(servers: Servers, settings: Settings) -> AsyncIterator[Environment]:
    """A database of the run's server, as variables that name it and the run's Redis."""
    name = f"cli_{uuid4().hex}"
    admin = get_engine(settings.database, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(servers.postgres).set(database=name).render_as_string(hide_password=False)
    yield {
        "DATABASE_URL": url,
        "CACHE_REDIS_URL": servers.redis,
        "LIMITER_REDIS_URL": servers.redis,
    }
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


@pytest.fixture(scope="module")
async def named(servers: Servers, settings: Settings) -> AsyncIterator[Environment]:
    """A migrated database of a server that the settings name."""
    async with database(servers, settings) as environment:
        engine = get_engine(named_settings(settings, environment).database)
        await migrate(engine)
        await engine.dispose()
        yield environment


@pytest.fixture
async def empty(servers: Servers, settings: Settings) -> AsyncIterator[Environment]:
    """The same, never migrated."""
    async with database(servers, settings) as environment:
        yield environment


@pytest.fixture(scope="module")
async def seeded(
    project: Project, servers: Servers, settings: Settings
) -> AsyncIterator[tuple[Ended, Environment]]:
    """A database that was empty before 2,000 people were put into it."""
    async with database(servers, settings) as environment:
        yield project.cli("seed", "--users", "2000", **environment), environment


def named_settings(settings: Settings, environment: Environment) -> Settings:
    """Without limits: other tests of the same minute log in by the same names."""
    url = SecretStr(environment["DATABASE_URL"])
    return settings.replaced(database={"url": url}, limiter={"enabled": False})


def production(environment: Environment) -> Environment:
    return environment | {"ENVIRONMENT": "production", "AUTH_SECRET_KEY": "k" * 32}


async def fetch(settings: Settings, environment: Environment, query: str) -> list[tuple[Any, ...]]:
    engine = get_engine(named_settings(settings, environment).database)
    async with engine.begin() as connection:
        rows = await connection.execute(text(query))
        answer = [tuple(row) for row in rows] if rows.returns_rows else []
    await engine.dispose()
    return answer


async def insert(
    settings: Settings, environment: Environment, email: str, is_active: str = "true"
) -> None:
    """A plain user."""
    name = email.partition("@")[0]
    await fetch(
        settings,
        environment,
        "INSERT INTO users (email, username, full_name, hashed_password, is_active) "
        f"VALUES ('{email}', '{name}', '{name} the builder', '', {is_active})",
    )


async def status_of_login(
    settings: Settings, environment: Environment, email: str, password: str
) -> int:
    async with running(named_settings(settings, environment)) as app, browsing(app) as client:
        body = {"email": email, "password": password}
        return (await client.post("/api/v1/auth/login", json=body)).status_code


def test_serve_prints_all_urls(first_start):
    for place in "/api/v1/dashboard", "/docs", "/api/v1/auth/login", "/health":
        assert f"{first_start.url.rstrip('/')}{place}" in first_start.ended.output
    assert first_start.docs == 200


def test_serve_needs_no_configuration(first_start):
    assert first_start.health["status"] == "healthy"
    assert first_start.health["checks"]["database"]["provider"] == "embedded"
    assert first_start.health["checks"]["cache"]["backend"] == "redis"


def test_the_first_start_shows_a_password_that_logs_in(first_start, second_start):
    assert first_start.ended.output.count(ADMIN) == 1
    assert second_start.login == 200


def test_a_later_start_shows_no_password(second_start):
    assert "password" not in second_start.ended.output
    assert ADMIN not in second_start.ended.output


def test_sigterm_leaves_no_process(first_start):
    assert first_start.left == []
    assert first_start.ended.code in {0, -signal.SIGTERM}
    assert "Traceback" not in first_start.ended.output


def test_ctrl_c_leaves_no_process(second_start):
    assert second_start.left == []
    assert second_start.ended.code in {0, -signal.SIGINT, 128 + signal.SIGINT}
    assert "Traceback" not in second_start.ended.output


def test_local_state_is_readable_by_its_owner_only(project, first_start):
    secrets = [project.path / ".local" / name for name in ("secret_key", "postgres.password")]

    assert [secret.stat().st_mode & 0o777 for secret in secrets] == [0o600, 0o600]


def test_plain_uvicorn_does_the_same(project, first_start):
    with visiting(project, "-m", "uvicorn", "main:app") as visit:
        login = visit.login(ADMIN, first_start.ended.generated_password)
        ended = visit.end(signal.SIGTERM)

    assert login.status_code == 200
    assert "Traceback" not in ended.output
    assert project.processes() == []


def test_two_workers_share_the_servers_and_leave_nothing(project, first_start):
    with visiting(project, *CLI, "serve", "--workers", "2") as visit:
        login = visit.login(ADMIN, first_start.ended.generated_password)
        children = psutil.Process(visit.process.pid).children()
        workers = [child for child in children if "--multiprocessing-fork" in child.cmdline()]
        servers = project.servers()
        ended = visit.end(signal.SIGTERM)

    assert login.status_code == 200
    assert len(workers) == 2
    assert servers == ["postgres", "valkey-server"]
    assert "Traceback" not in ended.output
    assert project.processes() == []


def test_production_without_settings_names_each_that_is_missing(project):
    ended = project.cli("serve", ENVIRONMENT="production")

    assert ended.code == 1
    for name in "DATABASE_URL", "AUTH_SECRET_KEY", "CACHE_REDIS_URL", "LIMITER_REDIS_URL":
        assert f"  {name}" in ended.output
    assert "Traceback" not in ended.output


def test_a_misspelt_setting_stops_the_command(project):
    ended = project.cli("migrate", DATABASE_ULR="x")

    assert ended.code == 1
    assert "DATABASE_ULR: no such setting, did you mean DATABASE_URL?" in ended.output
    assert "Traceback" not in ended.output


def test_a_misspelt_setting_is_the_last_that_plain_uvicorn_says(project):
    ended = project.run("-m", "uvicorn", "main:app", DATABASE_ULR="x")

    assert ended.code != 0
    assert ended.output.splitlines()[-1].strip().startswith("DATABASE_ULR: no such setting")


async def test_migrate_says_from_where_to_where(project, named):
    down = project.cli("migrate", "-1", **named)
    up = project.cli("migrate", **named)

    assert (down.code, up.code) == (0, 0)
    last = down.output.splitlines()[-1]
    assert last.startswith(f"{head_revision()} → ")
    assert up.output.splitlines()[-1] == " → ".join(reversed(last.split(" → ")))


async def test_processes_that_migrate_at_once_all_succeed(project, empty, settings):
    processes = [project.popen(*CLI, "migrate", **empty) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], outputs
    assert await fetch(settings, empty, "SELECT version_num FROM alembic_version") == [
        (head_revision(),)
    ]


async def test_migrating_production_creates_the_first_superuser_once(project, empty, settings):
    superuser = {
        "FIRST_SUPERUSER_EMAIL": "root@example.org",
        "FIRST_SUPERUSER_PASSWORD": PASSWORD,
    }
    first = project.cli("migrate", **production(empty), **superuser)
    second = project.cli("migrate", **production(empty), **superuser)

    assert (first.code, second.code) == (0, 0)
    assert f"empty → {head_revision()}" in first.output
    assert "created the superuser root@example.org" in first.output
    assert "created" not in second.output
    assert PASSWORD not in first.output + second.output
    assert await fetch(settings, empty, "SELECT email, is_superuser FROM users") == [
        ("root@example.org", True)
    ]


async def test_a_superuser_is_created_in_a_database_that_is_still_empty(project, empty, settings):
    ended = project.cli("create-superuser", "Ada@example.com", PASSWORD=PASSWORD, **empty)

    assert ended.code == 0
    assert "created ada@example.com, id 1" in ended.output
    assert await fetch(settings, empty, "SELECT email, is_superuser, is_active FROM users") == [
        ("ada@example.com", True, True)
    ]


async def test_an_existing_user_is_promoted(project, named, settings):
    await fetch(
        settings,
        named,
        "INSERT INTO users (email, username, hashed_password, is_active) "
        "VALUES ('bob@example.com', 'bob', 'as it was', false)",
    )

    ended = project.cli("create-superuser", "bob@example.com", **named)

    assert ended.code == 0
    assert "promoted the existing user bob@example.com" in ended.output
    assert "password is unchanged" in ended.output
    query = "SELECT is_superuser, is_active, hashed_password FROM users WHERE username = 'bob'"
    assert await fetch(settings, named, query) == [(True, True, "as it was")]


async def test_u2_a_password_that_is_given_for_an_existing_user_is_set(project, empty, settings):
    """U2: by the variable and by the option, for a superuser and for others."""
    project.cli("create-superuser", "ada@corp.local", PASSWORD=PASSWORD, **empty)
    by_variable = project.cli(
        "create-superuser", "ADA@corp.local", PASSWORD=f"{PASSWORD} 2", **empty
    )
    first = await status_of_login(settings, empty, "ada@corp.local", f"{PASSWORD} 2")
    by_option = project.cli(
        "create-superuser", "ada@corp.local", "--password", f"{PASSWORD} 3", **production(empty)
    )
    second = await status_of_login(settings, empty, "ada@corp.local", f"{PASSWORD} 3")

    for ended in (by_variable, by_option):
        assert ended.code == 0, ended.output
        assert "promoted the existing user ada@corp.local" in ended.output
        assert "set the password" in ended.output
        assert PASSWORD not in ended.output
    assert (first, second) == (200, 200)


async def test_u2_a_weak_password_promotes_nobody(project, empty, settings):
    """U2."""
    project.cli("migrate", **empty)
    await insert(settings, empty, "bob@example.com")

    ended = project.cli("create-superuser", "bob@example.com", PASSWORD="hunter2", **empty)

    assert ended.code == 1
    assert "password: should have at least 15 characters" in ended.output
    assert await fetch(settings, empty, "SELECT is_superuser FROM users") == [(False,)]


async def test_c31_a_password_that_was_forgotten_is_set(project, empty, settings):
    """C31: in production too, for the only superuser; every session ends."""
    project.cli("create-superuser", "ada@example.com", PASSWORD=PASSWORD, **empty)
    await status_of_login(settings, empty, "ada@example.com", PASSWORD)

    ended = project.cli(
        "set-password", " Ada@example.com", PASSWORD=f"{PASSWORD} 2", **production(empty)
    )

    assert ended.code == 0, ended.output
    assert "set the password of ada@example.com, id 1" in ended.output
    assert "inactive" not in ended.output
    assert PASSWORD not in ended.output
    assert await fetch(settings, empty, "SELECT count(*) FROM sessions WHERE ended_at IS NULL") == [
        (0,)
    ]
    changed = "SELECT actor, user_id FROM audit_events WHERE action = 'password.changed'"
    assert await fetch(settings, empty, changed) == [("command:set-password", 1)]
    assert await status_of_login(settings, empty, "ada@example.com", PASSWORD) == 401
    assert await status_of_login(settings, empty, "ada@example.com", f"{PASSWORD} 2") == 200


async def test_c31_a_session_ends_in_a_running_process_when_the_password_is_set(
    project, empty, settings
):
    """C31."""
    project.cli("create-superuser", "ada@example.com", PASSWORD=PASSWORD, **empty)
    async with running(named_settings(settings, empty)) as app, browsing(app) as client:
        ada = Person(client, 1, "ada@example.com")
        await ada.login()
        before = await ada.get("/users/me")
        project.cli(
            *("set-password", "ada@example.com"),
            PASSWORD=f"{PASSWORD} 2",
            **empty,
        )

        after = await ada.get("/users/me")

    assert (before.status_code, after.status_code) == (200, 401)


async def test_c31_an_inactive_user_is_told_to_be_so(project, empty, settings):
    """C31."""
    project.cli("migrate", **empty)
    await insert(settings, empty, "bob@example.com", is_active="false")

    ended = project.cli("set-password", "bob@example.com", PASSWORD=PASSWORD, **empty)

    assert ended.code == 0
    assert "inactive" in ended.output


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("nobody@example.com", PASSWORD, "no user has the email nobody@example.com"),
        ("bob@example.com", "hunter2", "password: should have at least 15 characters"),
        ("bob@example.com", "x" * 300, "password: "),
        ("bob@example.com", "Bob@Example.com 1", "password: should not be the email"),
        ("bob@example.com", "Bob The Builder 1", "password: should not be the email, a name"),
    ],
)
async def test_c31_a_password_that_cannot_be_set_is_a_sentence(
    project, empty, settings, email, password, sentence
):
    """C31."""
    project.cli("migrate", **empty)
    await insert(settings, empty, "bob@example.com")

    ended = project.cli("set-password", email, PASSWORD=password, **empty)

    assert ended.code == 1
    assert sentence in ended.output
    assert password not in ended.output
    assert "Traceback" not in ended.output
    assert await fetch(settings, empty, "SELECT hashed_password FROM users") == [("",)]


@pytest.mark.parametrize("command", ["create-superuser", "set-password"])
async def test_a_command_sets_no_password_that_is_known_from_a_breach(
    project, empty, settings, command
):
    project.cli("migrate", **empty)
    if command == "set-password":
        await insert(settings, empty, "bob@example.com")
    async with range_api() as api:
        api.know(PASSWORD)
        checking = {**empty, "AUTH_BREACH_CHECK_URL": api.url, "PASSWORD": PASSWORD}
        # In a thread: the list of breached passwords is served by this one.
        refused = await asyncio.to_thread(project.cli, command, "bob@example.com", **checking)
        api.answer()
        allowed = await asyncio.to_thread(project.cli, command, "bob@example.com", **checking)

    assert (refused.code, allowed.code) == (1, 0)
    assert "password: is known from a breach of another site" in refused.output
    assert PASSWORD not in refused.output
    assert len(api.requests) == 2


@pytest.mark.parametrize("command", ["create-superuser", "set-password"])
async def test_a_missing_password_is_asked_for_twice(project, empty, command):
    project.cli("create-superuser", "ada@example.com", PASSWORD=PASSWORD, **empty)
    email = "ada@example.com" if command == "set-password" else "new@example.com"

    ended = project.typing(f"{PASSWORD} 2\n{PASSWORD} 3\n" * 2 + f"{PASSWORD} 2\n" * 2).cli(
        command, email, **empty
    )

    assert ended.code == 0, ended.output
    assert "do not match" in ended.output
    assert f"{email}, id" in ended.output


def test_u2_an_email_that_is_none_is_refused_before_a_password_is_asked_for(project, named):
    """U2."""
    ended = project.typing("").cli("create-superuser", "no address", **named)

    assert ended.code == 1
    assert "email: not a valid email address" in ended.output
    assert "Password" not in ended.output


FIRST = {"FIRST_SUPERUSER_EMAIL": "Root@Example.org", "FIRST_SUPERUSER_PASSWORD": PASSWORD}


async def test_a_first_superuser_whose_email_a_user_has_is_reported(project, empty, settings):
    """By reading: in the log of `migrate` and of every start."""
    project.cli("migrate", **empty)
    await insert(settings, empty, "root@example.org")

    migrated = project.cli("migrate", **production(empty), **FIRST)
    with visiting(project, *CLI, "serve", **empty, **FIRST) as visit:
        started = visit.end(signal.SIGTERM)
    with visiting(project, *CLI, "serve", **production(empty), **FIRST) as visit:
        in_production = visit.end(signal.SIGTERM)

    for ended in (migrated, started, in_production):
        assert ended.code in {0, -signal.SIGTERM}
        assert "backend create-superuser root@example.org" in ended.output
        assert PASSWORD not in ended.output


@pytest.mark.parametrize("state", [{}, {"is_active": "false"}])
async def test_a_first_superuser_whose_email_a_user_has_is_promoted_by_command(
    project, empty, settings, state
):
    project.cli("migrate", **empty)
    await insert(settings, empty, "root@example.org", **state)

    promoted = project.cli("create-superuser", "root@example.org", **production(empty))
    afterwards = project.cli("migrate", **production(empty), **FIRST)

    assert promoted.code == 0
    assert "create-superuser" not in afterwards.output
    query = "SELECT email, is_superuser, is_active FROM users"
    assert await fetch(settings, empty, query) == [("root@example.org", True, True)]


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("root", PASSWORD, "FIRST_SUPERUSER_EMAIL: not a valid email address"),
        ("root@corp.local", "hunter2", "FIRST_SUPERUSER_PASSWORD: should have at least 15"),
    ],
)
def test_a_first_superuser_that_cannot_be_is_a_sentence(project, empty, email, password, sentence):
    named = {"FIRST_SUPERUSER_EMAIL": email, "FIRST_SUPERUSER_PASSWORD": password}

    ended = project.cli("migrate", **production(empty), **named)

    assert ended.code == 1
    assert sentence in ended.output
    assert "Traceback" not in ended.output
    assert password not in ended.output


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("eve@example.com", "hunter2", "password: should have at least 15 characters"),
        ("hunter2@", PASSWORD, "email: not a valid email address"),
    ],
)
async def test_a_superuser_who_could_not_sign_up_is_refused(
    project, named, email, password, sentence
):
    ended = project.cli("create-superuser", email, PASSWORD=password, **named)

    assert ended.code == 1
    assert sentence in ended.output
    assert "hunter2" not in ended.output
    assert "Traceback" not in ended.output


async def test_seed_creates_the_requested_number(seeded, settings):
    ended, environment = seeded

    assert ended.code == 0, ended.output
    query = f"SELECT count(*) FROM users WHERE email <> '{ADMIN}'"
    assert await fetch(settings, environment, query) == [(2000,)]
    event = "SELECT actor, after FROM audit_events WHERE action = 'users.seeded'"
    assert await fetch(settings, environment, event) == [("command:seed", {"users": 2000})]


async def test_seeded_users_log_in_with_the_printed_password(seeded, settings):
    ended, environment = seeded
    password = ended.output.split("all with the password: ")[1].strip()
    query = f"""
        SELECT max(email) FILTER (WHERE is_active), count(DISTINCT hashed_password)
        FROM users WHERE email <> '{ADMIN}'
    """
    ((email, hashes),) = await fetch(settings, environment, query)

    async with running(named_settings(settings, environment)) as app, browsing(app) as client:
        login = await client.post("/api/v1/auth/login", json={"email": email, "password": password})

    assert login.status_code == 200
    assert hashes == 1


async def test_seed_before_the_first_start_still_creates_the_first_superuser(seeded, settings):
    ended, environment = seeded
    password = re.findall(r"password +(\S+)", ended.output)[0]

    async with running(named_settings(settings, environment)) as app, browsing(app) as client:
        login = await client.post("/api/v1/auth/login", json={"email": ADMIN, "password": password})

    assert login.status_code == 200


async def test_seed_is_refused_in_production(project, named):
    ended = project.cli("seed", **production(named))

    assert ended.code == 1
    assert ended.output.strip() == "backend seed is not allowed in production"


def test_the_doctor_finds_nothing_wrong(project, first_start):
    ended = project.cli("doctor")

    assert ended.code == 0, ended.output
    assert ended.output.count("✓") == 8
    assert project.processes() == []


async def test_the_doctor_finds_wrong_counters_and_recount_corrects_them(project, named, settings):
    engine = get_engine(named_settings(settings, named).database)
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO user_counts (is_active, is_superuser, delta) VALUES (true, false, 7)")
        )
    await engine.dispose()

    said = [project.cli(*command, **named) for command in (["doctor"], ["recount"], ["recount"])]

    assert "differ by 7" in said[0].output
    assert "backend recount" in said[0].output
    assert [ended.code for ended in said] == [1, 0, 0]
    assert [ended.output.splitlines()[-1] for ended in said[1:]] == [
        "corrected by 7",
        "the counters were right",
    ]


def test_the_doctor_finds_what_is_down_and_says_what_to_do(project):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"127.0.0.1:{listener.getsockname()[1]}"
    ended = project.cli(
        "doctor",
        DATABASE_URL=f"postgresql://app:hunter2@{closed}/app",
        CACHE_REDIS_URL=f"redis://:hunter2@{closed}/0",
        LIMITER_ENABLED="false",
    )

    assert ended.code == 1
    assert ended.output.count("✗") == 2
    assert ended.output.count("refused") == 2
    assert "is DATABASE_URL" in ended.output
    assert "is CACHE_REDIS_URL" in ended.output
    assert "hunter2" not in ended.output
    assert "Traceback" not in ended.output


def test_a_database_that_is_down_is_a_sentence(project):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"127.0.0.1:{listener.getsockname()[1]}"
    ended = project.cli(
        "migrate", DATABASE_URL=f"postgresql://app:hunter2@{closed}/app", CACHE_ENABLED="false"
    )

    assert ended.code == 1
    assert ended.output.startswith("DATABASE_URL: nothing listens there")
    assert "hunter2" not in ended.output

"""Servers of a benchmark's own: PostgreSQL with so many users, Valkey, and the application."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import httpx
import psutil
from pydantic import SecretStr
from sqlalchemy import make_url, text

from app.cli.seed import SeedService
from app.core.config import Settings, load_settings
from app.core.security import PasswordHasher
from app.core.security.passwords.breaches import BreachedPasswords
from app.core.security.passwords.policy import PasswordPolicy
from app.database import close_engine, get_engine, get_session_maker
from app.database.migrations import migrate
from app.embedded.files import free_port
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.schemas.user import UserCreate
from app.services.user.counts import UserCountService
from app.services.user.creation import UserCreation
from benchmarks.population import populate
from tests.launcher import answers, launched

EMAIL = "admin@example.com"
PASSWORD = "correct horse battery staple"  # noqa: S105  # of accounts that live a minute


LARGEST = int(os.environ.get("USERS", "1000000"))
"""Users in the largest database of a row; `make bench ROW=P1 USERS=10000000`."""
SEEDED = 100_000
"""Users up to which `backend seed` makes them; more are made by the database."""
_MEMORY = {"shared_buffers": "2GB", "max_wal_size": "4GB"} if LARGEST > 1_000_000 else {}


def report_progress(users: int, done: int) -> None:
    sys.stderr.write(f"\r{done:,} of {users:,} users")
    if done == users:
        sys.stderr.write("; indexes …\n")


@dataclass
class Servers:
    """PostgreSQL and Valkey; databases by how many users are in them."""

    postgres: str
    redis: str

    def database(self, users: int) -> str:
        url = make_url(self.postgres).set(database=f"users_{users}")
        return url.render_as_string(hide_password=False)

    async def fill(self, users: int) -> str:
        """A database with so many users in it, vacuumed; its URL. Made once."""
        url = self.database(users)
        if not await self._create(f"users_{users}"):
            return url
        engine = get_engine(settings_for(url).database)
        await migrate(engine)
        passwords = PasswordHasher()
        if users > SEEDED:
            hashed = await passwords.hash(PASSWORD)
            await populate(engine, users, hashed, partial(report_progress, users))
        async with get_session_maker(engine)() as db:
            if users <= SEEDED:
                await SeedService(db, passwords).seed(users, PASSWORD, lambda _: None)
            auth = settings_for(url).auth
            policy = PasswordPolicy(BreachedPasswords(None), auth.password_min_length, "")
            creation = UserCreation(db, passwords, policy, auth)
            await creation.create_user(
                UserCreate(email=EMAIL, password=SecretStr(PASSWORD), is_superuser=True)
            )
        passwords.close()
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("SET statement_timeout = 0"))
            await connection.execute(text("VACUUM ANALYZE users"))
        async with get_session_maker(engine)() as db:
            await UserCountService(db).compact()
        await close_engine(engine)
        return url

    async def _create(self, name: str) -> bool:
        engine = get_engine(settings_for(self.postgres).database)
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            found = text("SELECT true FROM pg_database WHERE datname = :name")
            is_new = not await connection.scalar(found, {"name": name})
            if is_new:
                await connection.execute(text(f"CREATE DATABASE {name}"))
        await close_engine(engine)
        return is_new


@dataclass
class Instance:
    """A server process.

    Attributes:
        token: a superuser's; empty where the application has no login.
    """

    port: int
    process: psutil.Process
    token: str = ""

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        return int(self.process.memory_info().rss)


def settings_for(database: str) -> Settings:
    url = {"url": SecretStr(database), "statement_timeout": 600}
    return load_settings().replaced(database=url, log={"level": "ERROR"})


@contextmanager
def servers() -> Iterator[Servers]:
    with TemporaryDirectory(prefix="backend-api-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        with (
            EmbeddedPostgres(place / "postgres", _MEMORY) as postgres,
            EmbeddedValkey(place / "valkey") as r,
        ):
            yield Servers(postgres, r)


def fill(servers: Servers, users: int) -> str:
    """`Servers.fill`, from outside of an event loop."""
    return asyncio.run(servers.fill(users))


@contextmanager
def floor() -> Iterator[Instance]:
    """A bare FastAPI application on the same server."""
    with _process("benchmarks.floor:app", {}, "/stats") as instance:
        yield instance


@contextmanager
def application(
    servers: Servers,
    users: int,
    module: str = "main:app",
    folder: str = "",
    **settings: str,
) -> Iterator[Instance]:
    """The application as it runs in production, but for limits that no load reaches, on a database
    with so many users; a superuser is logged in.

    Args:
        folder: the checkout whose code is run; this one by default.
    """
    environment = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": fill(servers, users),
        "CACHE_REDIS_URL": servers.redis,
        "CACHE_PREFIX": f"bench:{users}",
        "LIMITER_REDIS_URL": servers.redis,
        "AUTH_SECRET_KEY": "a secret that lives for a benchmark",
        **{
            f"LIMITER_{name}": "1000000000/minute"
            for name in ("READ", "WRITE", "KEY_READ", "LOGIN", "LOGIN_ADDRESS", "SIGN_UP")
        },
        **settings,
    }
    if folder:
        environment["PYTHONPATH"] = folder
    with _process(module, environment, "/health/live", folder) as instance:
        account = {"email": EMAIL, "password": PASSWORD}
        url = f"http://127.0.0.1:{instance.port}/api/v1/auth/login"
        instance.token = httpx.post(url, json=account).raise_for_status().json()["access_token"]
        yield instance


@contextmanager
def _process(
    module: str, settings: dict[str, str], path: str, folder: str = ""
) -> Iterator[Instance]:
    port = free_port()
    command = sys.executable, "-m", "uvicorn", module, "--port", str(port), "--no-access-log"
    with (
        NamedTemporaryFile() as errors,
        launched(
            [*command, "--log-level", "warning"],
            Path(errors.name),
            partial(answers, f"http://127.0.0.1:{port}{path}"),
            environment={**os.environ, **settings},
            folder=Path(folder),
            redirection=">/dev/null",
        ) as process,
    ):
        yield Instance(port, psutil.Process(process.pid))

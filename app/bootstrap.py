"""Preparation of a database before the first request: the schema and the first superuser."""

import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.panel import Panel
from sqlalchemy.exc import SQLAlchemyError

from app.core.config import Settings, SettingsError
from app.core.exceptions import AppException, ValidationException
from app.core.timeouts import with_timeout
from app.database import close_engine, get_engine, ping
from app.database.errors import connection_failure
from app.database.schema_state import schema_of
from app.runtime import Runtime
from app.schemas.user import UserCreate

log = structlog.get_logger("app.bootstrap")

DATABASE_CHECK_TIMEOUT = 2.0
"""Seconds that a start is held up where the database does not answer."""
DEVELOPMENT_EMAIL = "admin@example.com"


@dataclass(frozen=True, slots=True)
class FirstSuperuser:
    """`generated_password` is None where the settings named one."""

    email: str
    generated_password: str | None


async def prepare_database(runtime: Runtime) -> FirstSuperuser | None:
    """Migrate where the schema is behind, and create the first superuser where there is none.

    Returns:
        The superuser that this very call created.

    Raises:
        SettingsError: see `upgrade_schema`.
        MigrationsError: see `migrate`.
    """
    if not (await schema_of(runtime.engine)).serves:
        await upgrade_schema(runtime)
    return await create_first_superuser(runtime)


async def database_problem(settings: Settings) -> str | None:
    """Why no connection to the database can be opened at this moment, if so. It takes
    `DATABASE_CHECK_TIMEOUT` at most."""
    engine = get_engine(settings.database, pool_size=1, max_overflow=0)
    try:
        await with_timeout(DATABASE_CHECK_TIMEOUT, lambda: ping(engine))
    except (AppException, SQLAlchemyError, OSError) as error:
        return connection_failure(error) or str(error)
    finally:
        await close_engine(engine)
    return None


async def upgrade_schema(runtime: Runtime, revision: str = "head") -> None:
    """Migrate, on a connection past the pooler where there is one: the lock that keeps two from
    migrating at once belongs to a connection of the server's.

    Args:
        runtime: the process's.
        revision: see `migrate`.

    Raises:
        SettingsError: they tell no way past the pooler.
    """
    # With Alembic, which a process that has nothing to migrate does without.
    from app.database.migrations import migrate  # noqa: PLC0415

    engine = get_engine(runtime.settings.database.direct(), pool_size=1, max_overflow=0)
    try:
        await migrate(engine, revision)
    finally:
        await close_engine(engine)


async def create_first_superuser(runtime: Runtime) -> FirstSuperuser | None:
    """Create the superuser that the settings name, unless there is one already.

    Outside production one that is not named is admin@example.com, with a random password.

    Raises:
        SettingsError: the email is none, or the password too weak.
    """
    app = runtime.settings.app
    email, named = app.first_superuser_email, app.first_superuser_password
    if runtime.settings.is_production and (email is None or named is None):
        return None
    password = named or SecretStr(secrets.token_urlsafe(12))
    try:
        user_in = UserCreate(email=email or DEVELOPMENT_EMAIL, password=password, is_superuser=True)
        async with runtime.open_user_service() as users:
            if not await users.create_first_superuser(user_in):
                return None
    except ValidationError as error:
        faults = error.errors(include_input=False)
        raise _wrong((str(fault["loc"][0]), fault["msg"]) for fault in faults) from None
    except ValidationException as error:
        raise _wrong((fault["field"], fault["message"]) for fault in error.details) from None
    return FirstSuperuser(user_in.email, None if named else password.get_secret_value())


async def warn_without_superuser(runtime: Runtime) -> None:
    """In production, where nothing is created at start: log how to get the superuser that the
    settings name, where a plain user has the email. It takes `DATABASE_CHECK_TIMEOUT` at most."""
    email = runtime.settings.app.first_superuser_email
    if email is None:
        return

    async def look() -> None:
        async with runtime.open_user_service() as users:
            await users.warn_without_superuser(email)

    with suppress(AppException, SQLAlchemyError, OSError):  # the service starts without it, too
        await with_timeout(DATABASE_CHECK_TIMEOUT, look)


def warn_without_mail(runtime: Runtime) -> None:
    """Log once that no mail is sent, where that is so."""
    if not runtime.mailer.is_available:
        log.warning(
            "mail_off",
            reason="MAIL_URL is not set",
            effect="mail jobs fail, and can be retried once it is set",
        )


def _wrong(faults: Iterable[tuple[str, str]]) -> SettingsError:
    return SettingsError([f"FIRST_SUPERUSER_{name.upper()}: {reason}" for name, reason in faults])


def show_generated_password(superuser: FirstSuperuser | None, console: Console) -> None:
    """Show a generated password, this once: it is stored nowhere."""
    if superuser and superuser.generated_password:
        login = f"email     {superuser.email}\npassword  {superuser.generated_password}"
        console.print(Panel(login, title="First superuser, shown once", expand=False))

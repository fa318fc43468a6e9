"""The command line: `backend --help`."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import structlog
import typer
import uvicorn
from alembic.util import CommandError
from pydantic import SecretStr, TypeAdapter, ValidationError
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from app.bootstrap import (
    FirstSuperuser,
    announce,
    bring_schema,
    create_first_superuser,
    database_problem,
    prepare_database,
    user_service,
)
from app.core.config import Settings, SettingsError, get_settings
from app.core.exceptions import AppException, NotFoundException
from app.core.logging import configure_logging
from app.core.normalisation import is_encodable, normalise_login
from app.database.errors import connection_failure
from app.database.migrations import MigrationsError, current_revision, schema_of
from app.doctor import diagnose
from app.embedded.server import EmbeddedServerError
from app.runtime import open_runtime, open_servers
from app.schemas.base import Email, NewPassword
from app.schemas.user import UserCreate
from app.server.options import AddressError, ended_in_order, listen, reloading, run, url_of
from app.services.seed import SeedService
from app.services.session import SessionService
from app.services.user.service import UserService
from app.user_import import UserFileError, import_file

T = TypeVar("T")
_SENTENCES = CommandError, EmbeddedServerError, MigrationsError, SettingsError, UserFileError
"""Errors whose message is for the user."""
cli = typer.Typer(
    help="Run and look after the Backend API.", no_args_is_help=True, pretty_exceptions_enable=False
)
console = Console()
log = structlog.get_logger("app.serve")


@cli.callback()
def check_arguments() -> None:
    """Run and look after the Backend API."""
    if not all(map(is_encodable, sys.argv)):
        _fail("an argument is not valid UTF-8")


def _settings() -> Settings:
    try:
        return get_settings()
    except SettingsError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(1)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run one command's work; what the user can mend is a sentence and no traceback."""
    try:
        return asyncio.run(work)
    except (AppException, SQLAlchemyError) as error:
        if reason := connection_failure(error):
            _fail(f"{_settings().database.variable}: {reason}")
        _explain(error)
    except _SENTENCES as error:
        _fail(str(error))


def _explain(error: AppException | SQLAlchemyError) -> NoReturn:
    if isinstance(error, AppException):
        cause = f": {error.__cause__}" if error.__cause__ else ""
        details = (f"\n  {detail['field']}: {detail['message']}" for detail in error.details)
        _fail(f"{error}{cause}{''.join(details)}")
    # The database's own words, without the statement and its parameters.
    _fail(f"{getattr(error, 'orig', None) or error}\n`backend doctor` may tell more")


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Default: SERVER_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: SERVER_PORT.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Default: SERVER_WORKERS.")] = None,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes.")] = False,  # noqa: FBT002  # Typer makes it --reload
) -> None:
    """Serve the API."""
    settings = _settings()
    configure_logging(settings)
    server = settings.server
    host, port = host or server.host, port or server.port
    workers = workers or server.workers
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "proxy_headers": bool(server.forwarded_allow_ips),
        "forwarded_allow_ips": list(server.forwarded_allow_ips),
        "access_log": False,
        "server_header": False,
        "log_config": None,
        "lifespan": "on",  # a start that fails is no start
        # Counted from the end of the drain; longer than any request may take.
        "timeout_graceful_shutdown": int(server.request_timeout) + 3,
        # Longer than proxies keep a connection for its next request, mostly 60 s: else one would go
        # out on it now and then while it is closed here.
        "timeout_keep_alive": 75,
        # By default 5 s, in which a worker on a busy machine has not even begun: it would be
        # killed and started again, for ever.
        "timeout_worker_healthcheck": 30,
    }
    if reload:
        options |= reloading()
    try:
        sockets = listen(host, port)
    except AddressError as error:
        _fail(str(error))
    with ended_in_order(), ExitStack() as stack:
        superuser = _run(_prepare(settings, stack))
        _say_where(settings, url_of(host, sockets))
        announce(superuser, console)
        patience = server.drain + server.request_timeout + 5
        code = run(uvicorn.Config("main:app", workers=workers, **options), sockets, patience)
    raise typer.Exit(code)


async def _prepare(settings: Settings, stack: ExitStack) -> FirstSuperuser | None:
    """Have all that serving needs, so that what is missing is a sentence before anything begins.

    In production the service starts without its database too: it may come back any moment.
    """
    if settings.is_production:
        if problem := await database_problem(settings):
            log.warning("database_away", setting=settings.database.variable, reason=problem)
        return None
    # Held by this process too: they stay while workers are replaced, or the code is reloaded.
    stack.enter_context(open_servers(settings))
    async with open_runtime(settings) as runtime:
        return await prepare_database(runtime)


def _say_where(settings: Settings, url: str) -> None:
    places = {
        "dashboard": f"{url}/api/v1/dashboard",
        "API docs": f"{url}/docs",
        "log in": f"POST {url}/api/v1/auth/login",
        "health": f"{url}/health",
    }
    lines = "\n".join(f"{name:<9}  {place}" for name, place in places.items())
    # As `Text`: the address [fd00::1] and a name in brackets would be taken for markup.
    title = Text(f"{settings.app.app_name} {settings.app.app_version}")
    console.print(Panel(Text(lines), title=title, expand=False))


@cli.command("migrate", context_settings={"ignore_unknown_options": True})  # -1 is none
def migrate_command(
    revision: Annotated[str, typer.Argument(help="head, base, a revision, or such as -1")] = "head",
) -> None:
    """Bring the database's schema up to date, and create the first superuser if it is named."""
    settings = _settings()
    configure_logging(settings)

    async def work() -> None:
        async with open_runtime(settings) as runtime:
            before = await schema_of(runtime.engine)
            await bring_schema(runtime, revision)
            after = await current_revision(runtime.engine)
            if before.state == "newer":
                console.print(f"{before}: nothing to do")
            else:
                console.print(f"{before.at or 'empty'} → {after or 'empty'}")
            named = settings.app.first_superuser_email and settings.app.first_superuser_password
            if revision == "head" and named and await create_first_superuser(runtime):
                console.print(f"created the superuser {settings.app.first_superuser_email}")

    _run(work())


_Email = Annotated[str, typer.Argument(help="Email to log in with.")]
_Password = Annotated[
    str | None,
    typer.Option(
        envvar="PASSWORD", help="Default: asked for, where one is needed.", show_envvar=True
    ),
]


@cli.command()
def create_superuser(email: _Email, password: _Password = None) -> None:
    """Create a superuser, or promote and activate the user who has this email.

    The password of a user who exists stays as it is, unless one is given.
    """
    settings = _settings()
    configure_logging(settings)

    async def work() -> None:
        async with _user_service(settings) as users:
            if await users.has_email(email):
                await promote(users)
                return
            with _sentences("email"):  # before anything is asked
                TypeAdapter(Email).validate_python(email)
            user = await users.create_user(_superuser(email, password or _ask_password()))
            console.print(f"created {user.email}, id {user.id}")

    async def promote(users: UserService) -> None:
        if password is not None:
            await users.set_password(email, _new_password(password))
        user = await users.promote(email)
        console.print(f"promoted {user.email}, id {user.id}, who exists already", soft_wrap=True)
        if password is None:
            console.print("their password stays; `backend set-password` sets another")
        else:
            console.print("set the password, and ended all their sessions")

    _run(work())


@cli.command()
def set_password(email: _Email, password: _Password = None) -> None:
    """Set the password of a user, and end all their sessions."""
    settings = _settings()
    configure_logging(settings)

    async def work() -> None:
        async with _user_service(settings) as users:
            if not await users.has_email(email):
                raise NotFoundException(f"no user has the email {normalise_login(email)}")
            user = await users.set_password(email, _new_password(password or _ask_password()))
            console.print(
                f"set the password of {user.email}, id {user.id}, and ended all their sessions",
                soft_wrap=True,
            )
            if not user.is_active:
                console.print("they are inactive, and cannot log in until they are activated")

    _run(work())


def _superuser(email: str, password: str) -> UserCreate:
    with _sentences():
        return UserCreate(email=email, password=SecretStr(password), is_superuser=True)


def _new_password(password: str) -> SecretStr:
    with _sentences("password"):
        return TypeAdapter(NewPassword).validate_python(password)


@contextmanager
def _sentences(name: str = "") -> Iterator[None]:
    """End the command with a line for each value that is not valid."""
    try:
        yield
    except ValidationError as error:
        faults = error.errors(include_input=False)
        _fail("\n".join(f"{(e['loc'] or (name,))[0]}: {e['msg']}" for e in faults))


def _ask_password() -> str:
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


@asynccontextmanager
async def _user_service(settings: Settings) -> AsyncIterator[UserService]:
    """On a schema that is up to date, which outside production is seen to here."""
    async with open_runtime(settings) as runtime, user_service(runtime) as users:
        if not settings.is_production:
            await bring_schema(runtime)
        yield users


@cli.command()
def seed(
    users: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    password: Annotated[str | None, typer.Option(help="Everybody's. Default: random.")] = None,
) -> None:
    """Fill the database with people who do not exist."""
    settings = _settings()
    configure_logging(settings)
    if settings.is_production:
        _fail("not in production")
    secret = password or secrets.token_urlsafe(12)
    columns = TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()

    async def work() -> None:
        async with open_runtime(settings) as runtime, runtime.session_maker() as db:
            # Before: among the people are superusers, and where there is one, none is created.
            announce(await prepare_database(runtime), console)
            with Progress(*columns, console=console) as bar:
                task = bar.add_task("users", total=users)
                service = SeedService(db, runtime.passwords)
                await service.seed(users, secret, lambda count: bar.advance(task, count))
            console.print(
                f"{users} users, everybody's password: {secret}", markup=False, soft_wrap=True
            )

    _run(work())


@cli.command("import-users")
def import_users_command(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV or NDJSON, as exported.")
    ],
    errors: Annotated[
        Path | None, typer.Option(help="For rows that are refused. Default: FILE.errors.csv.")
    ] = None,
    without_password: Annotated[  # noqa: FBT002  # Typer makes it --without-password
        bool,
        typer.Option("--without-password", help="Let in who has none; they cannot log in."),
    ] = False,
) -> None:
    """Bring users along, with a `password` or a `hashed_password` each.

    It may be run again after an interruption: who is there already is refused. Rows that are
    refused go into a file of their own, secrets included, which can be mended and imported.
    """
    settings = _settings()
    configure_logging(settings)
    errors = errors or file.with_suffix(f".errors{file.suffix}")
    outcome = _run(import_file(settings, file, errors, console, without_password=without_password))
    console.print(f"{outcome.imported} imported, {outcome.refused} refused", highlight=False)
    if outcome.note:
        console.print(outcome.note, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if outcome.refused:
        _fail(f"what was refused, and why: {errors}")


@cli.command()
def purge_sessions() -> None:
    """Delete sessions that have been over for a week. The service does so by itself, hourly."""
    settings = _settings()
    configure_logging(settings)

    async def work() -> None:
        async with open_runtime(settings) as runtime, runtime.session_maker() as db:
            count = await SessionService(db, runtime.principals).purge()
            console.print(f"{count} deleted")

    _run(work())


@cli.command()
def doctor() -> None:
    """Check configuration, database, migrations and Redis, and say what to do."""
    sys.exit(0 if asyncio.run(diagnose(console)) else 1)


if __name__ == "__main__":
    cli()

"""`backend create-superuser` and `backend set-password`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import typer
from pydantic import SecretStr, TypeAdapter, ValidationError

from app.bootstrap import upgrade_schema
from app.cli.running import command_settings, console, fail, run_command
from app.core.config import Settings
from app.core.exceptions import NotFoundException
from app.core.text.normalisation import normalise_login
from app.runtime import open_runtime
from app.schemas.base import Email, NewPassword
from app.schemas.user import UserCreate
from app.services.account.recovery import RecoveryService
from app.services.user.service import UserService

_Email = Annotated[str, typer.Argument(help="Email address of the user.")]
_Password = Annotated[
    str | None,
    typer.Option(
        envvar="PASSWORD",
        help="New password. Default: the command prompts for it if necessary.",
        show_envvar=True,
    ),
]


def create_superuser(email: _Email, password: _Password = None) -> None:
    """Create a superuser, or promote and activate the user with this email.

    The password of an existing user is changed only if --password is set.
    """
    settings = command_settings()

    async def work() -> None:
        async with _services(settings) as (users, recovery):
            if await users.has_email(email):
                await promote(users, recovery)
                return
            with _sentences("email"):  # before the prompt
                TypeAdapter(Email).validate_python(email)
            new = _superuser(email, password or _ask_password())
            user = await users.create_user(new, is_verified=True)
            console.print(f"created {user.email}, id {user.id}")

    async def promote(users: UserService, recovery: RecoveryService) -> None:
        if password is not None:
            await recovery.set_password(email, _new_password(password))
        user = await users.promote(email)
        console.print(f"promoted the existing user {user.email}, id {user.id}", soft_wrap=True)
        if password is None:
            console.print("the password is unchanged; `backend set-password` sets a new one")
        else:
            console.print("set the password, and ended all sessions of the user")

    run_command(work())


def set_password(email: _Email, password: _Password = None) -> None:
    """Set the password of a user, end all sessions and void all links in mails."""
    settings = command_settings()

    async def work() -> None:
        async with _services(settings) as (users, recovery):
            if not await users.has_email(email):
                raise NotFoundException(f"no user has the email {normalise_login(email)}")
            new = _new_password(password or _ask_password())
            user = await recovery.set_password(email, new)
            console.print(
                f"set the password of {user.email}, id {user.id}, and ended all their sessions",
                soft_wrap=True,
            )
            if not user.is_active:
                console.print("the user is inactive, and cannot log in until activated")

    run_command(work())


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
        fail("\n".join(f"{(e['loc'] or (name,))[0]}: {e['msg']}" for e in faults))


def _ask_password() -> str:
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


@asynccontextmanager
async def _services(settings: Settings) -> AsyncIterator[tuple[UserService, RecoveryService]]:
    """Services on an open runtime; outside production the schema is migrated first."""
    async with open_runtime(settings) as runtime, runtime.session_maker() as db:
        if not settings.is_production:
            await upgrade_schema(runtime)
        yield runtime.user_service(db), runtime.recovery_service(db)

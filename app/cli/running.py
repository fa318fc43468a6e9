"""Helpers that run a CLI command: settings, event loop, and error messages."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from app.core.config import Settings, SettingsError, get_settings
from app.core.exceptions import AppException
from app.core.logging import configure_logging
from app.database.errors import connection_failure
from app.database.schema_state import MigrationsError
from app.embedded.server import EmbeddedServerError
from app.services.user.file_parser import UserFileError

T = TypeVar("T")
_SENTENCES = EmbeddedServerError, MigrationsError, SettingsError, UserFileError
"""Errors whose message is for the user."""
console = Console()


def command_settings() -> Settings:
    """The settings, with logging configured; ends the command where they are invalid."""
    try:
        settings = get_settings()
    except SettingsError as error:
        fail(str(error))
    configure_logging(settings)
    return settings


def fail(message: str) -> NoReturn:
    """End the command with a message and exit status 1."""
    Console(stderr=True, soft_wrap=True).print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(1)


def run_command(work: Coroutine[Any, Any, T]) -> T:
    """Run the work of a command; an error that the user can correct is a message, no traceback."""
    try:
        return asyncio.run(work)
    except (AppException, SQLAlchemyError) as error:
        if reason := connection_failure(error):
            fail(f"{get_settings().database.variable}: {reason}")
        _explain(error)
    except _SENTENCES as error:
        fail(str(error))


def _explain(error: AppException | SQLAlchemyError) -> NoReturn:
    if isinstance(error, AppException):
        cause = f": {error.__cause__}" if error.__cause__ else ""
        details = (f"\n  {detail['field']}: {detail['message']}" for detail in error.details)
        fail(f"{error}{cause}{''.join(details)}")
    # The database's own words, without the statement and its parameters.
    fail(f"{getattr(error, 'orig', None) or error}\nrun `backend doctor` for details")

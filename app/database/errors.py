"""What a database error means to the caller, by its SQLSTATE and constraint."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.exceptions import (
    AppException,
    ConflictException,
    DatabaseException,
    ServiceUnavailableException,
    StatementTimeoutException,
    ValidationException,
)

DRIVER_ERRORS = asyncpg.PostgresError, asyncpg.InterfaceError
"""What the driver raises, and SQLAlchemy lets out as it is while it fetches from a cursor."""
READ_ONLY = "25006"
STATEMENT_TIMEOUT = "57014"
_CONFLICTS = (
    "23001",  # restrict violation: something refers to it, from PostgreSQL 18 on
    "23503",  # foreign key violation: what it refers to was deleted meanwhile
    "23505",  # unique violation
    "23P01",  # exclusion violation
)
# A value that the caller sent, where the schemas could not know that it cannot be stored.
_VALUES = (
    "22001",  # string too long
    "22007",  # invalid datetime
    "22008",  # datetime out of range
    "2200F",  # empty string
    "22018",  # invalid character for a cast
    "22019",  # invalid escape character
    "2201B",  # invalid regular expression
    "22021",  # character not in the encoding
    "22025",  # invalid escape sequence
    "2203",  # JSON
    "22P02",  # invalid text representation
    "22P05",  # character that the database's encoding has not
)
# The server's state, not the request: the same may do well once it is mended.
_UNAVAILABLE = (
    "08",  # connection exceptions
    # asyncpg checks the range of every value that is sent: what is out of range here is a number
    # of the database's own, such as the next id.
    "22003",
    "2200H",  # a sequence is used up
    READ_ONLY,  # a standby that is not promoted yet
    "25P03",  # idle in a transaction for too long
    "25P04",  # the same of the whole transaction
    "28",  # our role or password is not let in: they are being changed
    "3D000",  # no such database: it is being restored
    "40",  # rolled back: serialization failure, deadlock
    "53",  # insufficient resources: disk, memory, connections
    "55",  # not in the state for it: no connections allowed, in use, locked
    "57",  # shutting down, crashed or starting
    "58",  # the server's own files: missing, or not to be read
    "F0",  # the server's configuration
)
_LOST = ("08", READ_ONLY, "57P01", "57P02", "57P03", "57P05")


def sqlstate(error: SQLAlchemyError) -> str | None:
    """The five-character code, or None where the server did not send one."""
    code: str | None = getattr(getattr(error, "orig", None), "sqlstate", None)
    return code


def is_lost(state: str) -> bool:
    """Whether a connection on which this SQLSTATE came is of no more use: the server ends it, or
    is no primary any more."""
    return state.startswith(_LOST)


def violated_constraint(error: SQLAlchemyError) -> str | None:
    """The name of the constraint or unique index that was violated."""
    # SQLAlchemy's adapter keeps asyncpg's own exception, which has the name, as its cause.
    cause = getattr(getattr(error, "orig", None), "__cause__", None)
    name: str | None = getattr(cause, "constraint_name", None)
    return name


def translate(error: SQLAlchemyError) -> AppException:
    """The fact behind `error`; a caller raises it `from` the error.

    A lost connection, a full pool, a server that is starting or has no room left is 503: the same
    request may do well once that is mended. A value that the server cannot store is the caller's,
    422. Any other error is a fault of ours, 500.
    """
    state = sqlstate(error) or ""
    if state == STATEMENT_TIMEOUT:
        return StatementTimeoutException()
    if isinstance(error, PoolTimeoutError) or state.startswith(_UNAVAILABLE):
        return ServiceUnavailableException()
    if state in _CONFLICTS:
        return ConflictException()
    if state.startswith(_VALUES):
        return ValidationException()
    if not state and isinstance(error, DBAPIError):
        # No answer from the server at all: asyncpg's InterfaceError and its like.
        return ServiceUnavailableException()
    return DatabaseException()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the application's exceptions for database errors inside the block.

    Raises:
        AppException: see `translate`.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error) from error


def translate_driver(error: Exception) -> AppException:
    """The same for one of `DRIVER_ERRORS`."""
    return translate(DBAPIError(None, None, error))

"""What a database error means to the caller, by its SQLSTATE and constraint."""

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

READ_ONLY = "25006"
STATEMENT_TIMEOUT = "57014"
_CONFLICTS = (
    "23503",  # foreign key violation: what it refers to was deleted meanwhile
    "23505",  # unique violation
)
_UNAVAILABLE = (
    "08",  # connection exceptions
    READ_ONLY,  # a standby that is not promoted yet
    "28",  # our role or password is not let in: they are being changed
    "3D000",  # no such database: it is being restored
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53",  # insufficient resources: disk, memory, connections
    "55P03",  # lock not available
    "57",  # shutting down, crashed or starting
    "58",  # system error: a file of the server's is gone, or its disk fails
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

    A lost connection, a full pool or a server that is starting is 503: the same request may
    do well in a moment. A value the server cannot store (class 22) is the caller's, 422.
    """
    state = sqlstate(error) or ""
    if state == STATEMENT_TIMEOUT:
        return StatementTimeoutException()
    if isinstance(error, PoolTimeoutError) or state.startswith(_UNAVAILABLE):
        return ServiceUnavailableException()
    if state in _CONFLICTS:
        return ConflictException()
    if state.startswith("22"):
        return ValidationException()
    if not state and isinstance(error, DBAPIError):
        # No answer from the server at all: asyncpg's InterfaceError and its like.
        return ServiceUnavailableException()
    return DatabaseException()

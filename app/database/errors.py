"""Translation of database errors: to the application's exceptions, by SQLSTATE and constraint, and
of connection failures to sentences for the operator."""

import socket
import ssl
from collections.abc import Callable, Iterator
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
"""The driver's errors, which SQLAlchemy does not wrap while it fetches from a cursor."""
READ_ONLY = "25006"
STATEMENT_TIMEOUT = "57014"
_CONFLICTS = (
    "23001",  # restrict violation: the row is referenced, from PostgreSQL 18 on
    "23503",  # foreign key violation: the referenced row was deleted meanwhile
    "23505",  # unique violation
    "23P01",  # exclusion violation
)
# A value that the caller sent and that the database cannot store, though it passed the schemas.
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
    "22P05",  # character missing in the database's encoding
)
# Caused by the server's state, not by the request: the same request may succeed later.
_UNAVAILABLE = (
    "08",  # connection exceptions
    # Out of range. asyncpg checks every value that is sent, so this is a number that the database
    # generated, such as the next id.
    "22003",
    "2200H",  # a sequence is used up
    READ_ONLY,  # a standby that is not promoted yet
    "25P03",  # idle in transaction timeout
    "25P04",  # transaction timeout
    "28",  # role or password refused: they are being changed
    "3D000",  # no such database: it is being restored
    "40",  # rolled back: serialization failure, deadlock
    "53",  # insufficient resources: disk, memory, connections
    "55",  # object not in prerequisite state: no connections allowed, in use, locked
    "57",  # operator intervention: shutting down, crashed or starting
    "58",  # the server's own files: missing or unreadable
    "F0",  # the server's configuration
)
_LOST = ("08", READ_ONLY, "57P01", "57P02", "57P03", "57P05")


def sqlstate(error: SQLAlchemyError) -> str | None:
    """The five-character code, or None where the server did not send one."""
    code: str | None = getattr(getattr(error, "orig", None), "sqlstate", None)
    return code


def is_lost(state: str) -> bool:
    """Whether this SQLSTATE makes its connection unusable: the server ends it, or is no longer the
    primary."""
    return state.startswith(_LOST)


def violated_constraint(error: SQLAlchemyError) -> str | None:
    """The name of the constraint or unique index that was violated."""
    # SQLAlchemy's adapter keeps asyncpg's own exception, which has the name, as its cause.
    cause = getattr(getattr(error, "orig", None), "__cause__", None)
    name: str | None = getattr(cause, "constraint_name", None)
    return name


def translate(error: SQLAlchemyError) -> AppException:
    """The application's exception for `error`; raise it `from error`.

    A lost connection, a full pool, a server that is starting or out of resources is 503: the same
    request may succeed later. A value that the server cannot store is 422. Any other error is a
    fault of the application, 500.
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
        # No answer from the server: asyncpg's InterfaceError, for example.
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
    """`translate` for one of `DRIVER_ERRORS`."""
    return translate(DBAPIError(None, None, error))


_Test = type[BaseException] | Callable[[BaseException], bool]


def _says(words: str) -> Callable[[BaseException], bool]:
    return lambda error: words in str(error)


# The first match counts. No message of the server is repeated.
_REASONS: tuple[tuple[_Test, str], ...] = (
    (
        _says("unsupported startup parameter"),
        "a connection pooler refuses our settings: set DATABASE_POOLER to transaction or session",
    ),
    (
        _says("rejected SSL upgrade"),
        "sslmode asks for TLS, which the server does not offer",
    ),
    (
        ssl.SSLCertVerificationError,
        "the server's certificate is not trusted: is sslrootcert that of its authority?",
    ),
    (ssl.SSLError, "TLS failed: are sslmode, sslrootcert, sslcert and sslkey right?"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the server refuses the user or password"),
    (asyncpg.InvalidCatalogNameError, "there is no database of this name on the server"),
    (asyncpg.TooManyConnectionsError, "the server has no connection left"),
    (asyncpg.CannotConnectNowError, "the server is starting or stopping"),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "no server matches target_session_attrs",
    ),
    (asyncpg.ClientConfigurationError, "the driver refuses a parameter: {}"),
    (socket.gaierror, "there is no host of this name"),
    (
        ConnectionRefusedError,
        "nothing listens there: are host and port right, and the server up?",
    ),
    (TimeoutError, "no answer in time: are host and port right, and reachable from here?"),
    (FileNotFoundError, "there is no such socket or file"),
)


def connection_failure(error: BaseException) -> str | None:
    """The reason why no connection could be opened, and what to change, without host, user or
    password; None for other errors."""
    chain = tuple(_causes(error))
    for test, reason in _REASONS:
        for link in chain:
            if isinstance(link, test) if isinstance(test, type) else test(link):
                return reason.format(link)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__

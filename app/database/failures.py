"""Why no connection could be opened, in words that say what to change."""

import socket
import ssl
from collections.abc import Callable, Iterator

import asyncpg

_POOLER = "unsupported startup parameter"

_Test = type[BaseException] | Callable[[BaseException], bool]


def _says(words: str) -> Callable[[BaseException], bool]:
    return lambda error: words in str(error)


# The first that fits. Of what the server says, only names are shown.
_REASONS: tuple[tuple[_Test, str], ...] = (
    (
        _says(_POOLER),
        "a pooler in front refuses our settings: set DATABASE_POOLER to transaction or session",
    ),
    (
        _says("rejected SSL upgrade"),
        "sslmode asks for TLS, which the server does not offer",
    ),
    (
        ssl.SSLCertVerificationError,
        "the server's certificate is not trusted: is sslrootcert its authority's?",
    ),
    (ssl.SSLError, "no TLS with the server: are sslmode, sslrootcert, sslcert and sslkey right?"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the server refuses the user or password"),
    (asyncpg.InvalidCatalogNameError, "there is no database of this name on the server"),
    (asyncpg.TooManyConnectionsError, "the server has no connection left"),
    (asyncpg.CannotConnectNowError, "the server is starting or stopping"),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "no server is what target_session_attrs asks for",
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
    """The reason, without host, user or password; None where it is another kind of error."""
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

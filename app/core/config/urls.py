"""URLs of servers: refused where they would fail later, and put as the driver wants them."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import SecretStr

# Hosting providers put them into the URLs they show, and asyncpg knows nothing of them.
_NOT_FOR_ASYNCPG = frozenset({"channel_binding", "pgbouncer"})


def check_url(name: str, secret: SecretStr | None, *schemes: str) -> None:
    """Refuse a URL that could not be connected to, or would be misread.

    In words of our own: the parsers' quote the password.

    Raises:
        ValueError: it is of another scheme, names no server, or is not percent-encoded.
    """
    if secret is None:
        return
    url = secret.get_secret_value()
    if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        allowed = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"{name} must begin with {allowed}")
    if not _is_whole(url):
        raise ValueError(
            f"{name} must be of the form {schemes[0]}://user:password@host:port/name, "
            "special characters in the password percent-encoded"
        )


def _is_whole(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0  # asked for, since that is what parses it
    except ValueError:
        return False
    has_server = parts.hostname or parts.scheme == "unix" or "host=" in parts.query
    # An @ elsewhere is the end of a password in which a character ended the URL's first part.
    is_encoded = parts.netloc.count("@") == url.count("@") <= 1
    return has_port and bool(has_server) and is_encoded


def asyncpg_url(netloc: str, path: str, query: dict[str, str]) -> str:
    """For SQLAlchemy with asyncpg. By hand: where no host is named, because `query` names a Unix
    socket, `urlunsplit` leaves out the two slashes."""
    return f"postgresql+asyncpg://{netloc}{path}" + (f"?{urlencode(query)}" if query else "")


def asyncpg_query(query: str) -> dict[str, str]:
    """What follows the `?`, with libpq's `sslmode` as asyncpg's `ssl`."""
    return {
        {"sslmode": "ssl"}.get(key, key): value
        for key, value in parse_qsl(query)
        if key not in _NOT_FOR_ASYNCPG
    }

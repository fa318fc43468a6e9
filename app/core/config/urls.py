"""URLs of servers, refused where they would fail later."""

from urllib.parse import urlsplit

from pydantic import SecretStr


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
    has_server = parts.hostname or parts.scheme == "unix"
    # An @ elsewhere is the end of a password in which a character ended the URL's first part.
    is_encoded = parts.netloc.count("@") == url.count("@") <= 1
    return has_port and bool(has_server) and is_encoded

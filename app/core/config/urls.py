"""URL checks for settings. No error repeats any part of a URL, since it may be the password."""

from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

FORM = (
    "must be of the form {}://user:password@host:port/name, "
    "special characters in the password percent-encoded"
)


class UrlError(ValueError):
    """The rule that a URL breaks; the setting's name goes before it."""


def split_url(url: str, *schemes: str) -> SplitResult:
    """Split a URL.

    Raises:
        UrlError: it is of another scheme, or not percent-encoded.
    """
    prefixes = [f"{scheme}://" for scheme in schemes]
    if not url.startswith(tuple(prefixes)):
        raise UrlError(f"must begin with {' or '.join(prefixes)}")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UrlError(FORM.format(schemes[0])) from None
    # An @ elsewhere is the end of a password in which a character ended the URL's first part.
    if not parts.netloc.count("@") == url.count("@") <= 1:
        raise UrlError(FORM.format(schemes[0]))
    return parts


def check_url(name: str, secret: SecretStr | None, *schemes: str) -> None:
    """Check that a URL names a server.

    Args:
        name: of the setting.
        secret: its value; None passes.
        schemes: that are allowed.

    Raises:
        ValueError: it is of another scheme, names no server, or is not percent-encoded.
    """
    if secret is None:
        return
    try:
        parts = split_url(secret.get_secret_value(), *schemes)
    except UrlError as error:
        raise ValueError(f"{name} {error}") from None
    if not _has_server(parts):
        raise ValueError(f"{name} {FORM.format(schemes[0])}")


def _has_server(parts: SplitResult) -> bool:
    try:
        return parts.port != 0 and bool(parts.hostname or parts.scheme == "unix")
    except ValueError:  # of a port that is no number
        return False

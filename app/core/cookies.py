"""Parser of the `Cookie` header."""

from collections.abc import Iterable

MAX_COOKIES = 100
"""Maximum number of cookies that are parsed. Browsers store about as many per site."""


def parse_cookies(headers: Iterable[str]) -> dict[str, str]:
    """Cookie values by name, from a request's `Cookie` headers; the last of a name counts.

    Starlette's own parser also decodes quoted values, by a function of `http.cookies` whose time
    grows with the square of a value's length before Python 3.11.10 and 3.12.6: 77 s for 160 KB.
    We set no quoted cookies, and decode none.
    """
    cookies = {}
    for header in headers:
        for pair in header.split(";", MAX_COOKIES)[:MAX_COOKIES]:
            name, _, value = pair.partition("=")
            cookies[name.strip()] = value.strip()
    return cookies

"""Reads the `Cookie` header."""

from collections.abc import Iterable

MAX_COOKIES = 100
"""Cookies that are looked at. Browsers keep about as many for one site."""


def parse_cookies(headers: Iterable[str]) -> dict[str, str]:
    """Values by name, from the `Cookie` headers of a request; the last of a name counts.

    Starlette's own parser also decodes quoted values, by a function of `http.cookies` whose time
    grows with the square of a value's length before Python 3.11.10 and 3.12.6: 77 s for 160 KB.
    We set no quoted cookie, and so decode none.
    """
    cookies = {}
    for header in headers:
        for pair in header.split(";", MAX_COOKIES)[:MAX_COOKIES]:
            name, _, value = pair.partition("=")
            cookies[name.strip()] = value.strip()
    return cookies

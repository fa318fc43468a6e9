"""CSRF protection of forms, by a signed token and the `Origin` header."""

from fastapi import Request

from app.api.runtime import runtime_of
from app.core.exceptions import ForbiddenException

FIELD, HEADER = "csrf", "X-CSRF-Token"
_NO_COOKIE = (
    "Your browser sent no cookie. This page needs cookies, which outside development are sent over "
    "https alone."
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class FormRefusedException(ForbiddenException):
    """A form without our token, or from another site: nothing was done."""

    error = "form_refused"
    message = (
        "This form does not belong to your session any more, or came from another site. "
        "Nothing was changed; go back, reload the page and send it again."
    )


async def check_form(request: Request, owner: str | None, *, may_hide_origin: bool = False) -> None:
    """Check that a request that changes something is `owner`'s form.

    Args:
        request: of any method; one that changes nothing passes.
        owner: the session's id, or before there is one, the random value of the `form` cookie.
        may_hide_origin: whether `Origin: null` is accepted from browsers without `Sec-Fetch-Site`.

    Raises:
        FormRefusedException: its token is missing or another's, or another site sent it.
    """
    if request.method in _SAFE:
        return
    if owner is None:
        raise FormRefusedException(_NO_COOKIE)
    token = request.headers.get(HEADER) or (await request.form()).get(FIELD)
    is_ours = isinstance(token, str) and runtime_of(request).forms.is_token_of(owner, token)
    is_hidden = may_hide_origin and request.headers.get("Origin") == "null"
    if not is_ours or not _is_same_site(request, is_hidden=is_hidden):
        raise FormRefusedException


def is_from_our_page(request: Request) -> bool:
    """Whether the browser says that one of our pages sent this, not only that no other did."""
    has_evidence = {"sec-fetch-site", "origin"} & {*request.headers.keys()}
    return bool(has_evidence) and _is_same_site(request, is_hidden=False)


def _is_same_site(request: Request, *, is_hidden: bool) -> bool:
    """By headers that browsers set and scripts cannot change; other clients need not send them."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site == "same-origin"
    # The host alone: a proxy may have changed the scheme, but passes the host on.
    return is_hidden or origin is None or origin.partition("://")[2] == request.headers.get("Host")

"""Whether a form that comes in is one that we gave out, to this very browser."""

from fastapi import Request

from app.admin.addresses import split
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


async def check_form(request: Request, owner: str | None) -> None:
    """Let a request that changes something pass if its form is `owner`'s.

    Args:
        request: of any method; one that changes nothing passes.
        owner: the session's id, or a stranger's cookie.

    Raises:
        FormRefusedException: its token is missing or another's, or another site sent it.
    """
    if request.method in _SAFE:
        return
    if owner is None:
        raise FormRefusedException(_NO_COOKIE)
    token = request.headers.get(HEADER) or (await request.form()).get(FIELD)
    is_ours = isinstance(token, str) and runtime_of(request).forms.is_token_of(owner, token)
    if not is_ours or not _is_from_here(request):
        raise FormRefusedException


def _is_from_here(request: Request) -> bool:
    """By what browsers tell, scripts cannot change, and other clients need not send."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site == "same-origin"
    # A proxy may have changed the scheme, but passes the host on.
    return origin is None or split(origin).netloc == request.headers.get("Host")

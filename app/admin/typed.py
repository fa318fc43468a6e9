"""What was typed into a form that was not saved: kept by the browser, and sent once more.

After a login in place of a form whose session had ended, the form is shown as it was typed. After
an outage it can be sent again. The server stores nothing: the fields are in the page that the
browser gets, without secrets.
"""

from typing import NamedTuple, cast

from fastapi import Depends, Request, Response
from pydantic import TypeAdapter, ValidationError

from app.admin import csrf
from app.admin.rendering import render
from app.api.runtime import runtime_of
from app.core.exceptions import AppException

DRAFT, TYPED = "draft", "typed"
"""Names of hidden fields: whether the form is to be shown and not saved; and of a login form, what
was typed into another form."""
SECRETS = frozenset(
    {
        *(csrf.FIELD, DRAFT),
        *("password", "current_password", "new_password", "proof", "code"),
        *("token", "mfa_token", "credential"),
    }
)
"""Fields that are left out. A field whose type is secret has to be one of them."""
MAX_BYTES = 20_000
"""Size of the fields, above which none is kept. Our largest form has 5,000."""


MAX_SEALED = 48_000
"""Greatest length of the field in which a login form has them."""


class Typed(NamedTuple):
    """A form's fields.

    Attributes:
        action: path and query that the form goes to.
        token: its CSRF token.
    """

    action: str
    fields: list[tuple[str, str]]
    token: str = ""


_typed = TypeAdapter(Typed)


class NotSavedYetException(AppException):
    """A form that came back after a login: it is shown, and not saved."""

    status, error = 200, "not_saved_yet"
    message = "Not saved yet: your session had ended. Check what you typed, and send it"


async def keep_typed(request: Request) -> None:
    """The dependency of a form with text: what was typed into it is not lost where it cannot be
    saved. Its endpoint refuses by `AdminPage.redisplay_on_error`, which shows a form that came
    back, and does not save it.

    A form of another site is not kept: it could fill one of ours after the login.
    """
    form, url = await request.form(), request.url
    texts = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    fields = [(name, value) for name, value in texts if name not in SECRETS]
    size = sum(len(f"{name}{value}".encode(errors="replace")) for name, value in fields)
    if size <= MAX_BYTES and csrf.is_from_our_page(request):
        action = f"{url.path}?{url.query}" if url.query else url.path
        request.state.typed = Typed(action, fields, str(form.get(csrf.FIELD, "")))
    request.state.is_draft = DRAFT in form


KeepsTyped = Depends(keep_typed)


def typed_in(request: Request) -> Typed | None:
    """What was typed into the form of this request."""
    return cast("Typed | None", getattr(request.state, "typed", None))


def is_draft(request: Request) -> bool:
    """Whether the form is to be shown, and not saved."""
    return bool(getattr(request.state, "is_draft", False))


def sealed(request: Request) -> str:
    """What was typed, for a hidden field of the login form; empty without."""
    typed = typed_in(request)
    return runtime_of(request).forms.seal([TYPED, typed.action, typed.fields]) if typed else ""


def resumed(request: Request, response: Response, token: str, value: str) -> Response | None:
    """After a login: a page that leads back to the form as it was typed; None without one.

    Args:
        request: the login.
        response: has the headers that dependencies have set.
        token: of the new session.
        value: see `sealed`.
    """
    typed = _unsealed(request, value)
    if typed is None:
        return None
    runtime = runtime_of(request)
    session_id = runtime.tokens.read(token, "page").session_id
    own = runtime.forms.token(str(session_id))
    return render(request, "resumed.html", 200, response.headers, typed=typed, csrf=own)


def _unsealed(request: Request, value: str) -> Typed | None:
    content = runtime_of(request).forms.unseal(value) if value else None
    if not isinstance(content, list) or content[:1] != [TYPED]:
        return None
    try:
        return _typed.validate_python(content[1:])
    except ValidationError:
        return None

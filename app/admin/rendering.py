"""Template rendering, in the language of the request."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.admin.assets import assets
from app.admin.drawing import charts
from app.admin.drawing.initials import initials
from app.admin.drawing.qr_code import qr_code
from app.admin.formats import Formats
from app.admin.languages import LANGUAGES, language_of
from app.admin.translation import Translation, translation_of
from app.api.runtime import runtime_of

BASE = "/api/v1/dashboard"
"""Path of the admin pages."""
ACCOUNT = "/account"
"""Path of the pages of one's own account."""
HEADERS = {
    # No inline script or style at all, and nothing from another host.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # With the API's `no-referrer`, a browser would send no `Origin` with a form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Pages are not stored (`no-store`); these are for tools that check caching headers.
    "Vary": "Accept-Language, Cookie",
}
PANEL = "drawer-body"
"""Id of the element in the drawer of a list that shows a view."""


@cache
def environment_of(language: str) -> Environment:
    """Templates in a language. One for each, so that macros that are imported without the context
    have its words as well; made at the first page in the language."""
    translation = translation_of(language)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).resolve().parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # by the extension
        translation.gettext, translation.ngettext, newstyle=True
    )
    environment.filters |= Formats(translation).filters
    environment.filters["translated"] = translation.translated
    environment.globals |= {
        "static": assets.url,
        "base": BASE,
        "account": ACCOUNT,
        "columns": charts.columns,
        "sparkline": charts.sparkline,
        "qr_code": qr_code,
        "initials": initials,
        "language": language,
        "languages": LANGUAGES,
        "script_words": translation.script_words,
    }
    return environment


def requested(request: Request) -> str:
    """Path and query of a view, to return to it; empty for a form that was sent."""
    if request.method != "GET":
        return ""
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.scope['path']}?{query}" if query else request.scope["path"]


def words_of(request: Request) -> Translation:
    """The words of the language of a request."""
    return translation_of(language_of(request))


def is_panel(request: Request) -> bool:
    """Whether a drawer asked: a view is shown without the page around it."""
    return request.headers.get("HX-Target") == PANEL


def shows_notice(request: Request) -> bool:
    """Whether the answer is a whole view. A script that loads a part of one leaves the notice to
    the page that shows it."""
    return is_panel(request) or "HX-Request" not in request.headers


def render(
    request: Request,
    template: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A response from a template of `app/admin/templates`.

    Args:
        request: what is answered.
        template: its path, such as `overview/overview.html`.
        status: of the answer.
        headers: added to those of every page.
        context: variables of the template.
    """
    settings = runtime_of(request).settings
    language = language_of(request)
    html = (
        environment_of(language)
        .get_template(template)
        .render(
            app=settings.app,
            has_docs=settings.docs.enabled,
            rp_id=settings.passkey_rp_id,
            path=request.scope["path"],
            here=requested(request),
            is_panel=is_panel(request),
            **context,
        )
    )
    own = {**HEADERS, "Content-Language": language}
    return HTMLResponse(html, status, {**own, **(headers or {})})

"""Template rendering, and the filters that format figures and times."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.admin.assets import assets
from app.admin.drawing import charts
from app.admin.drawing.qr_code import qr_code
from app.api.runtime import runtime_of
from app.core.device import device_in_words

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
}
PANEL = "drawer-body"
"""Id of the element in the drawer of a list that shows a view."""
NOTHING = "–"
"""Shown for a figure that is not available."""


def number(value: float | None) -> str:
    """`12,345`."""
    return NOTHING if value is None else f"{value:,.0f}"


def duration(milliseconds: float | None) -> str:
    """`0.8 ms`, `12 ms`, `1.2 s`."""
    if milliseconds is None:
        return NOTHING
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def percent(part: float | None) -> str:
    """`98.5 %` for 0.985."""
    return NOTHING if part is None else f"{part * 100:.1f} %"


def change(part: float) -> str:
    """`+8 %` for 0.08."""
    return f"{part * 100:+,.0f} %"


def period(name: str) -> str:
    """`24 hours` for `24h`, `7 days` for `7d`."""
    return f"{name[:-1]} {'hours' if name[-1] == 'h' else 'days'}"


def span(seconds: float) -> str:
    """`40 seconds`, `5 minutes`, `3 hours`, `2 days`."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def ago(moment: datetime) -> str:
    """`a moment ago`, `2 minutes ago`."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return "a moment ago" if seconds < 10 else f"{span(seconds)} ago"


def clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}"


def hour(moment: datetime) -> str:
    """`14:00`."""
    return f"{moment:%H:%M}"


def day(moment: datetime) -> str:
    """`7 Nov`."""
    return f"{moment:%-d %b}"


def date(moment: datetime) -> str:
    """`7 Nov 2026`."""
    return f"{moment:%-d %b %Y}"


def minute(moment: datetime) -> str:
    """`7 Nov 2026, 14:05 UTC`."""
    return f"{moment:%-d %b %Y, %H:%M} UTC"


def label(field: str) -> str:
    """`Full name` for `full_name`, `Active` for `is_active`."""
    return field.removeprefix("is_").replace("_", " ").capitalize()


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).resolve().parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    function.__name__: function
    for function in (number, duration, percent, change, period, span, clock, hour, day, label)
}
_environment.filters |= {"date": date, "minute": minute, "device": device_in_words}
_environment.globals |= {
    "static": assets.url,
    "base": BASE,
    "account": ACCOUNT,
    "columns": charts.columns,
    "sparkline": charts.sparkline,
    "qr_code": qr_code,
}


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
    html = _environment.get_template(template).render(
        app=settings.app,
        has_docs=settings.docs.enabled,
        rp_id=settings.passkey_rp_id,
        path=request.scope["path"],
        is_panel=is_panel(request),
        **context,
    )
    return HTMLResponse(html, status, {**HEADERS, **(headers or {})})

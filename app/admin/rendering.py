"""Templates, and how they write figures and times."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.admin import assets, charts
from app.api.runtime import runtime_of

BASE = "/api/v1/dashboard"
"""Where the page is; its cookies go nowhere else."""
HEADERS = {
    # No inline script or style at all, and nothing from another host.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # With the API's `no-referrer`, a browser tells no form's origin.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOTHING = "–"
"""For a figure that there is not."""


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


def size(count: float | None) -> str:
    """`1.5 MiB`, in bytes."""
    if count is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def span(seconds: float) -> str:
    """`40 seconds`, `5 minutes`."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"


def clock(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}"


def day(moment: datetime) -> str:
    """`7 Nov`."""
    return f"{moment:%-d %b}"


def date(moment: datetime) -> str:
    """`7 Nov 2026`."""
    return f"{moment:%-d %b %Y}"


def minute(moment: datetime) -> str:
    """`7 Nov 2026, 14:05 UTC`."""
    return f"{moment:%-d %b %Y, %H:%M} UTC"


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).resolve().parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    function.__name__: function for function in (number, duration, percent, size, span, clock, day)
}
_environment.filters |= {"date": date, "minute": minute}
_environment.globals |= {"static": assets.address, "base": BASE, "columns": charts.columns}


def render(
    request: Request,
    template: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A template of `app/admin/templates`, as an answer that no cache keeps.

    Args:
        request: what it answers.
        template: its path, such as `dashboard/overview.html`.
        status: of the answer.
        headers: added to those of every page.
        context: what the template names.
    """
    app = runtime_of(request).settings.app
    html = _environment.get_template(template).render(
        app=app, path=request.scope["path"], **context
    )
    return HTMLResponse(html, status, {**HEADERS, **(headers or {})})

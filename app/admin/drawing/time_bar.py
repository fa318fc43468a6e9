"""A bar of where a request's time went."""

from typing import NamedTuple

from app.admin.translation import N_
from app.core.telemetry.ended_request import EndedRequest

WIDTH = 120
"""Of a bar, in units of the drawing."""
NAMES = {
    "pool": N_("waiting for a connection"),
    "db": N_("database"),
    "cache": N_("cache"),
    "limiter": N_("limits"),
    "service": N_("service"),
}


class Part(NamedTuple):
    """A part of the bar. `kind` is of its style."""

    kind: str
    name: str
    seconds: float
    x: float
    width: float


def time_bar(request: EndedRequest) -> list[Part]:
    """The parts of a request's time that are not zero. In all they fill the bar."""
    times = {name: request.waited.get(name, 0.0) for name in NAMES} | {"service": request.elsewhere}
    total = sum(times.values()) or 1.0
    parts: list[Part] = []
    x = 0.0
    for kind, seconds in times.items():
        width = WIDTH * seconds / total
        if seconds > 0:
            parts.append(Part(kind, NAMES[kind], seconds, round(x, 1), round(width, 1)))
        x += width
    return parts

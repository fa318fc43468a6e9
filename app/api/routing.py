"""How a path finds its route."""

from typing import Any

from fastapi import APIRouter
from starlette.routing import Match
from starlette.types import Scope

from app.api.requests import BoundedRoute


class Router(APIRouter):
    """FastAPI's router, passed over where a path has not its prefix, with bounds on bodies.

    By itself FastAPI tries the routes of all routers in turn, at 10 µs each. Within a router it
    does so still: what is asked most comes first.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=BoundedRoute, **options)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if self.prefix not in scope["path"]:
            return Match.NONE, {}
        return super().matches(scope)

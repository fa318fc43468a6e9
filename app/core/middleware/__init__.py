"""ASGI middleware, in the order of `setup_middleware`."""

from app.core.middleware.setup import setup_middleware
from app.core.middleware.starlette import is_probe
from app.core.middleware.timeout import StreamStalled, TimeoutMiddleware

__all__ = ["StreamStalled", "TimeoutMiddleware", "is_probe", "setup_middleware"]

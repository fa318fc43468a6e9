"""Access to the application's `Runtime` from a request."""

from fastapi import Request

from app.runtime import Runtime

__all__ = ["Runtime", "runtime_of"]


def runtime_of(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime

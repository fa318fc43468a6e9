"""Access to the application's `Runtime` from a request."""

from fastapi import Request

from app.runtime import Runtime


def runtime_of(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime

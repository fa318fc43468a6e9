"""What is counted, and the names it is counted under."""

from prometheus_client import Counter
from starlette.types import Scope

REQUEST_TIMEOUTS = Counter(
    "http_request_timeouts", "Requests answered 504, or cut off while streaming", ["route"]
)


def route_template(scope: Scope) -> str | None:
    """The route's path with its parameters' names, such as `/api/v1/users/{user_id}`.

    A label made from it has few values, whatever paths are asked for. None where no route
    matched. FastAPI keeps an included route's full path beside the route, not on it.
    """
    included = scope.get("fastapi", {}).get("effective_route_context")
    route = included or scope.get("route")
    template: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template

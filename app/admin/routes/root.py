"""The front door."""

from fastapi.responses import RedirectResponse

from app.admin.rendering import BASE
from app.api.routing import Router

router = Router(include_in_schema=False)


@router.get("/")
async def root() -> RedirectResponse:
    """Lead a browser to the dashboard."""
    return RedirectResponse(BASE)

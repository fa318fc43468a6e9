"""Redirect from `/` to the overview."""

from fastapi.responses import RedirectResponse

from app.admin.rendering import BASE
from app.api.routing import Router

router = Router(include_in_schema=False)


@router.get("/")
async def root() -> RedirectResponse:
    """Redirect to the overview."""
    return RedirectResponse(BASE)

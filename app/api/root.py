"""The front door."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from app.api.pages.rendering import BASE

router = APIRouter(include_in_schema=False)


@router.get("/")
async def root() -> RedirectResponse:
    """Lead a browser to the dashboard."""
    return RedirectResponse(BASE)

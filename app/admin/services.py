"""The services that only the admin page has."""

from typing import Annotated

from fastapi import Depends, Request

from app.admin.overview import OverviewService
from app.admin.users import UserDesk
from app.api.runtime import runtime_of
from app.api.types import Sessions, Users
from app.services.user.upload import UserUpload


async def get_user_desk(users: Users, sessions: Sessions) -> UserDesk:
    return UserDesk(users, sessions)


async def get_overview_service(request: Request) -> OverviewService:
    """One for the whole process: it stores the last figures."""
    state, parts = request.app.state, runtime_of(request)
    if not hasattr(state, "overview"):
        state.overview = OverviewService(
            parts.dashboard, parts.health, parts.metrics, parts.settings.database
        )
    overview: OverviewService = state.overview
    return overview


async def get_user_upload(request: Request, users: Users) -> UserUpload:
    return UserUpload(users, runtime_of(request).settings.users.bulk_max)


Desk = Annotated[UserDesk, Depends(get_user_desk)]
Uploads = Annotated[UserUpload, Depends(get_user_upload)]
Overviews = Annotated[OverviewService, Depends(get_overview_service)]

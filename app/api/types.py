"""What endpoints declare their parameters with."""

from typing import Annotated

from fastapi import Depends, Path

from app.api.deps import (
    Session,
    get_auth_service,
    get_caller,
    get_current_superuser,
    get_current_user,
    get_device,
    get_health_service,
    get_user_service,
)
from app.core.pagination import PageParams
from app.core.principal import Device, Principal
from app.schemas import MAX_BIGINT
from app.services import AuthService, HealthService, UserService

DBSession = Session
Caller = Annotated[Principal | None, Depends(get_caller)]
CurrentUser = Annotated[Principal, Depends(get_current_user)]
CurrentSuperuser = Annotated[Principal, Depends(get_current_superuser)]
ClientDevice = Annotated[Device, Depends(get_device)]
PaginationParams = Annotated[PageParams, Depends()]
UserId = Annotated[int, Path(ge=1, le=MAX_BIGINT, description="the user's id", examples=[1])]

Auth = Annotated[AuthService, Depends(get_auth_service)]
Health = Annotated[HealthService, Depends(get_health_service)]
Users = Annotated[UserService, Depends(get_user_service)]

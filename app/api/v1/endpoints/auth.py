"""Logging in and out."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import OAuth2PasswordRequestForm

from app.api.responses import errors
from app.api.types import Auth, ClientDevice, CurrentUser
from app.schemas import LoginRequest, RefreshRequest, TokenSchema

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post("/login", operation_id="login", responses=errors(401, 413, 422))
async def login(credentials: LoginRequest, auth: Auth, device: ClientDevice) -> TokenSchema:
    """Log in with email and password."""
    return TokenSchema.model_validate(
        await auth.login(credentials.email, credentials.password.get_secret_value(), device)
    )


@router.post("/token", operation_id="login_form", responses=errors(401, 413, 422))
async def login_form(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], auth: Auth, device: ClientDevice
) -> TokenSchema:
    """Log in with the OAuth2 password form, by username or email."""
    return TokenSchema.model_validate(await auth.login(form.username, form.password, device))


@router.post("/refresh", operation_id="refresh", responses=errors(401, 413, 422))
async def refresh(request: RefreshRequest, auth: Auth) -> TokenSchema:
    """Exchange a refresh token for a new pair; a reused one ends the session."""
    return TokenSchema.model_validate(await auth.refresh(request.refresh_token.get_secret_value()))


@router.post("/logout", operation_id="logout", status_code=204, responses=errors(401))
async def logout(caller: CurrentUser, auth: Auth) -> None:
    """End this session, effective on the next request."""
    await auth.logout(caller)

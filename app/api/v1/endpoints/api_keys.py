"""Endpoints of API keys."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Request, Response

from app.api.convertors import USER_ID
from app.api.deps.auth import CurrentUser, Requires
from app.api.deps.confirmation import Confirmed
from app.api.deps.services import ApiKeys
from app.api.limits import Limited
from app.api.responses import errors
from app.api.routing import Router
from app.api.types import PaginationParams, UserId
from app.core.limiter import by_address, limiter, rate
from app.core.permissions import Permission
from app.schemas.access.api_key import ApiKeyCreate, ApiKeyCreated, ApiKeyPage, LeakedKey
from app.schemas.access.session import Principal

router = Router(
    tag="api-keys", description="Keys by which programs act for a user, within permissions."
)

Manager = Annotated[Principal, Requires(Permission.KEYS_MANAGE)]
KeyId = Annotated[UUID, Path(description="the key's id")]
_USERS_KEYS = f"/users{USER_ID}/api-keys"


@router.post(
    "/api-keys",
    operation_id="create_api_key",
    response_description="The new key, which is shown this once",
    status_code=201,
    dependencies=[Confirmed],
    responses=errors(401, 403, 409, body=True),
)
async def create_api_key(
    key_in: ApiKeyCreate, keys: ApiKeys, caller: CurrentUser, request: Request, response: Response
) -> ApiKeyCreated:
    """Make an API key of your own, and get a notice by mail."""
    key = await keys.create(caller.user_id, key_in, caller)
    response.headers["Location"] = f"{request.url.path}/{key.id}"
    return key


@router.get(
    "/api-keys",
    operation_id="list_api_keys",
    response_description="A page of keys",
    responses=errors(401, 403),
)
async def list_api_keys(params: PaginationParams, keys: ApiKeys, caller: CurrentUser) -> ApiKeyPage:
    """A page of your API keys, the newest first; also those that have expired."""
    return ApiKeyPage.model_validate(await keys.of(caller.user_id, params))


@router.post(
    "/api-keys/revocation",
    operation_id="revoke_leaked_api_key",
    response_description="The key is not valid, now at the latest",
    status_code=204,
    dependencies=[Limited],
    responses=errors(401, body=True),
)
@limiter.shared_limit(rate("key_address"), scope="leaked-key", key_func=by_address)
async def revoke_leaked_api_key(leaked: LeakedKey, keys: ApiKeys) -> None:
    """Revoke an API key that was found somewhere: its finder may. A key that is not valid any
    more is no error; 401 is for what is no key of this service."""
    await keys.revoke_leaked(leaked.key.get_secret_value())


@router.delete(
    "/api-keys/{key_id:row_id}",
    operation_id="revoke_api_key",
    response_description="The key is revoked",
    status_code=204,
    responses=errors(401, 403, 404),
)
async def revoke_api_key(key_id: KeyId, keys: ApiKeys, caller: CurrentUser) -> None:
    """Revoke one of your API keys; effective on its next request, in every process."""
    await keys.revoke(key_id, caller.user_id, caller)


@router.post(
    _USERS_KEYS,
    operation_id="create_user_api_key",
    response_description="The new key, which is shown this once",
    status_code=201,
    dependencies=[Confirmed],
    responses=errors(401, 403, 404, 409, body=True),
)
async def create_user_api_key(
    user_id: UserId,
    key_in: ApiKeyCreate,
    keys: ApiKeys,
    caller: Manager,
    request: Request,
    response: Response,
) -> ApiKeyCreated:
    """Make an API key of a user, who gets a notice by mail, within your own permissions."""
    key = await keys.create(user_id, key_in, caller)
    response.headers["Location"] = f"{request.url.path}/{key.id}"
    return key


@router.get(
    _USERS_KEYS,
    operation_id="list_user_api_keys",
    response_description="A page of keys",
    responses=errors(401, 403, 404),
)
async def list_user_api_keys(
    user_id: UserId, params: PaginationParams, keys: ApiKeys, _: Manager
) -> ApiKeyPage:
    """A page of a user's API keys, the newest first; also those that have expired."""
    return ApiKeyPage.model_validate(await keys.of(user_id, params))


@router.delete(
    f"{_USERS_KEYS}/{{key_id}}",
    operation_id="revoke_user_api_key",
    response_description="The key is revoked",
    status_code=204,
    responses=errors(401, 403, 404),
)
async def revoke_user_api_key(
    user_id: UserId, key_id: KeyId, keys: ApiKeys, caller: Manager
) -> None:
    """Revoke an API key of a user."""
    await keys.revoke(key_id, user_id, caller)

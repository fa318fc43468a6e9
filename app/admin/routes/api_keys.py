"""Routes of the pages of API keys: one's own, and those of a user."""

from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import Depends, Path, Response

from app.admin.deps import AnyPage, UserKeysPage
from app.admin.forms.access import KeyForm, KeyFormBody
from app.admin.page import AdminPage, Notice
from app.admin.rendering import BASE
from app.api.deps.services import ApiKeys, Confirmations, Roles, Users
from app.api.routing import Router
from app.api.types import UserId
from app.core.pagination import PageParams
from app.core.permissions import NOT_FOR_KEYS, Permission
from app.schemas.access.api_key import ApiKeyCreated, ApiKeyPage
from app.schemas.user import UserSchema
from app.services.access.rules import permissions_of

TEMPLATE = "access/keys.html"

router = Router(prefix=BASE, include_in_schema=False)

KeyId = Annotated[UUID, Path()]


class Owner(NamedTuple):
    """Whose keys a page is about.

    Attributes:
        place: of their keys, below the pages' own.
        grantable: permissions that a key of theirs may get from the caller.
    """

    user: UserSchema
    place: str
    grantable: list[Permission]


async def get_own(page: AnyPage) -> Owner:
    return Owner(page.admin.user, "/keys", _grantable(page, page.admin.permissions))


async def get_owner(user_id: UserId, page: UserKeysPage, users: Users, roles: Roles) -> Owner:
    user = await users.get(user_id, page.admin)
    owned = permissions_of(await roles.of_user(user_id, page.admin))
    owned = frozenset(Permission) if user.is_superuser else owned
    return Owner(user, f"/users/{user_id}/keys", _grantable(page, owned))


def _grantable(page: AdminPage, owned: frozenset[Permission]) -> list[Permission]:
    allowed = (owned & page.admin.permissions) - NOT_FOR_KEYS
    return [permission for permission in Permission if permission in allowed]


Own = Annotated[Owner, Depends(get_own)]
OfUser = Annotated[Owner, Depends(get_owner)]


@router.get("/keys", name="dashboard_keys")
async def own_keys(page: AnyPage, owner: Own, keys: ApiKeys) -> Response:
    """One's own keys, and the form for a new one."""
    return await _keys(page, owner, keys)


@router.post("/keys", name="dashboard_create_key")
async def create_own_key(
    form: KeyFormBody, page: AnyPage, owner: Own, keys: ApiKeys, confirmations: Confirmations
) -> Response:
    """Make a key, which the page shows this once."""
    return await _create(form, page, owner, keys, confirmations)


@router.get("/keys/{key_id}/revoke", name="dashboard_confirm_key_revocation")
async def confirm_own_revocation(page: AnyPage, owner: Own, key_id: KeyId) -> Response:
    """Ask for confirmation before one's own key is revoked."""
    return _confirm(page, owner, key_id)


@router.post("/keys/{key_id}/revoke", name="dashboard_revoke_key")
async def revoke_own_key(page: AnyPage, owner: Own, key_id: KeyId, keys: ApiKeys) -> Response:
    """Revoke one's own key."""
    return await _revoke(page, owner, key_id, keys)


@router.get("/users/{user_id}/keys", name="dashboard_user_keys")
async def user_keys(page: UserKeysPage, owner: OfUser, keys: ApiKeys) -> Response:
    """A user's keys, and the form for a new one."""
    return await _keys(page, owner, keys)


@router.post("/users/{user_id}/keys", name="dashboard_create_user_key")
async def create_user_key(
    form: KeyFormBody,
    page: UserKeysPage,
    owner: OfUser,
    keys: ApiKeys,
    confirmations: Confirmations,
) -> Response:
    """Make a key of a user, which the page shows this once."""
    return await _create(form, page, owner, keys, confirmations)


@router.get("/users/{user_id}/keys/{key_id}/revoke", name="dashboard_confirm_user_key_revocation")
async def confirm_user_revocation(page: UserKeysPage, owner: OfUser, key_id: KeyId) -> Response:
    """Ask for confirmation before a user's key is revoked."""
    return _confirm(page, owner, key_id)


@router.post("/users/{user_id}/keys/{key_id}/revoke", name="dashboard_revoke_user_key")
async def revoke_user_key(
    page: UserKeysPage, owner: OfUser, key_id: KeyId, keys: ApiKeys
) -> Response:
    """Revoke a user's key."""
    return await _revoke(page, owner, key_id, keys)


async def _keys(
    page: AdminPage, owner: Owner, keys: ApiKeys, made: ApiKeyCreated | None = None
) -> Response:
    found = await _found(owner, keys)
    status = 200 if made is None else 201
    return page.render(
        TEMPLATE, status, owner=owner, found=found, form=KeyForm(), made=made, error=None
    )


async def _found(owner: Owner, keys: ApiKeys) -> ApiKeyPage:
    return ApiKeyPage.model_validate(await keys.of(owner.user.id, PageParams()))


async def _create(
    form: KeyForm, page: AdminPage, owner: Owner, keys: ApiKeys, confirmations: Confirmations
) -> Response:
    found = await _found(owner, keys)
    with page.redisplay_on_error(TEMPLATE, owner=owner, found=found, form=form, made=None):
        await confirmations.require(page.admin)
        made = await keys.create(owner.user.id, form.create(), page.admin)
    return await _keys(page, owner, keys, made)


def _confirm(page: AdminPage, owner: Owner, key_id: UUID) -> Response:
    return page.render(
        "access/confirm.html",
        title="Revoke the API key?",
        text="Programs that use it are refused from their next request on. This cannot be undone.",
        action="Revoke the key",
        place=f"{owner.place}/{key_id}/revoke",
        back=owner.place,
    )


async def _revoke(page: AdminPage, owner: Owner, key_id: UUID, keys: ApiKeys) -> Response:
    await keys.revoke(key_id, owner.user.id, page.admin)
    return page.redirect(owner.place, Notice("Revoked the API key"))

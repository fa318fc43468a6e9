"""Routes of the pages of a user's API keys, for administrators."""

from typing import Annotated

from fastapi import Depends, Response

from app.admin.deps.pages import UserKeysPage
from app.admin.forms.access import KeyFormBody
from app.admin.key_pages import KeyId, KeyPages
from app.admin.listings.user_place import Place
from app.admin.listings.users import USERS_PATH
from app.admin.typed import KeepsTyped
from app.api.deps.services import ApiKeys, Confirmations, Roles, Users
from app.api.routing import Router
from app.api.types import UserId
from app.core.permissions import ALL
from app.services.access.rules import permissions_of

router = Router(prefix=f"{USERS_PATH}/{{user_id}}/keys", include_in_schema=False)


async def get_key_pages(
    user_id: UserId,
    page: UserKeysPage,
    place: Place,
    users: Users,
    roles: Roles,
    keys: ApiKeys,
    confirmations: Confirmations,
) -> KeyPages:
    user = await users.get(user_id, page.admin)
    owned = permissions_of(await roles.of_user(user_id, page.admin))
    owned = ALL if user.is_superuser else owned
    return KeyPages(page, place.path("/keys"), user, owned, keys, confirmations, place)


Pages = Annotated[KeyPages, Depends(get_key_pages)]


@router.get("", name="dashboard_user_keys")
async def user_keys(pages: Pages) -> Response:
    """A user's keys, and the form for a new one."""
    return await pages.show()


@router.post("", name="dashboard_create_user_key", dependencies=[KeepsTyped])
async def create_user_key(form: KeyFormBody, pages: Pages) -> Response:
    """Make a key of a user, which the page shows this once."""
    return await pages.create(form)


@router.get("/{key_id}/revoke", name="dashboard_confirm_user_key_revocation")
async def confirm_revocation(key_id: KeyId, pages: Pages) -> Response:
    """Ask for confirmation before a user's key is revoked."""
    return pages.confirm_revocation(key_id)


@router.post("/{key_id}/revoke", name="dashboard_revoke_user_key")
async def revoke_user_key(key_id: KeyId, pages: Pages) -> Response:
    """Revoke a user's key."""
    return await pages.revoke(key_id)

"""Routes of one's own API keys."""

from typing import Annotated

from fastapi import Depends, Response

from app.admin.deps.pages import AccountPageDep
from app.admin.forms.access import KeyFormBody
from app.admin.key_pages import KeyId, KeyPages
from app.admin.rendering import ACCOUNT
from app.admin.typed import KeepsTyped
from app.api.deps.services import ApiKeys, Confirmations
from app.api.routing import Router

KEYS_PATH = f"{ACCOUNT}/keys"

router = Router(prefix=KEYS_PATH, include_in_schema=False)


async def get_key_pages(
    page: AccountPageDep, keys: ApiKeys, confirmations: Confirmations
) -> KeyPages:
    caller = page.admin
    return KeyPages(page, KEYS_PATH, caller.user, caller.permissions, keys, confirmations)


Pages = Annotated[KeyPages, Depends(get_key_pages)]


@router.get("", name="account_keys")
async def keys(pages: Pages) -> Response:
    """One's own keys, and the form for a new one."""
    return await pages.show()


@router.post("", name="account_create_key", dependencies=[KeepsTyped])
async def create_key(form: KeyFormBody, pages: Pages) -> Response:
    """Make a key, which the page shows this once."""
    return await pages.create(form)


@router.get("/{key_id}/revoke", name="account_confirm_key_revocation")
async def confirm_revocation(key_id: KeyId, pages: Pages) -> Response:
    """Ask for confirmation before a key is revoked."""
    return pages.confirm_revocation(key_id)


@router.post("/{key_id}/revoke", name="account_revoke_key")
async def revoke_key(key_id: KeyId, pages: Pages) -> Response:
    """Revoke a key."""
    return await pages.revoke(key_id)

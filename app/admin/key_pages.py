"""`KeyPages`: the pages of a user's API keys, for the owner and for administrators."""

from collections.abc import Set as AbstractSet
from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from app.admin.drawing.api_call import ApiCall
from app.admin.forms.access import KeyForm
from app.admin.listings.user_place import UserPlace
from app.admin.page import AdminPage, Notice
from app.admin.rendering import ACCOUNT
from app.admin.translation import N_
from app.api.deps.services import ApiKeys, Confirmations
from app.core.pagination import PageParams
from app.core.permissions import NOT_FOR_KEYS, Permission
from app.schemas.access.api_key import ApiKeyCreated, ApiKeyPage
from app.schemas.user import UserSchema

TEMPLATE = "access/keys.html"

KeyId = Annotated[UUID, Path()]


def others_ended(count: int) -> str:
    """The notice to a user who has thrown others out, with the keys that still let them in."""
    if count == 0:
        return N_("All other sessions have ended")
    if count == 1:
        return N_(
            "All other sessions have ended. 1 API key still works: "
            "revoke those that you do not know"
        )
    return N_(
        f"All other sessions have ended. {count} API keys still work: "
        "revoke those that you do not know"
    )


class KeyPages:
    """Builds the responses of the pages of one user's keys.

    Args:
        page: of the caller.
        path: of the list; the other pages are below it.
        owner: whose keys they are.
        owned: permissions of the owner.
        keys: makes, lists and revokes keys.
        confirmations: requires one before a key is made.
        place: of the owner's views; None for the owner.

    Attributes:
        grantable: permissions that a key of the owner may get from the caller.
    """

    def __init__(
        self,
        page: AdminPage,
        path: str,
        owner: UserSchema,
        owned: AbstractSet[Permission],
        keys: ApiKeys,
        confirmations: Confirmations,
        place: UserPlace | None = None,
    ) -> None:
        self.page, self.path, self.owner, self.place = page, path, owner, place
        allowed = (owned & page.admin.permissions) - NOT_FOR_KEYS
        self.grantable = [permission for permission in Permission if permission in allowed]
        self._keys, self._confirmations = keys, confirmations

    async def show(self, made: ApiKeyCreated | None = None) -> Response:
        """The keys, and the form for a new one; with `made`, the new key, this once."""
        status = 200 if made is None else 201
        found = await self._found()
        return self.page.render(
            TEMPLATE, status, pages=self, found=found, form=KeyForm(), made=made, error=None
        )

    async def create(self, form: KeyForm) -> Response:
        """Make a key, which the page shows this once."""
        found = await self._found()
        with self.page.redisplay_on_error(TEMPLATE, pages=self, found=found, form=form, made=None):
            await self._confirmations.require(self.page.admin)
            made = await self._keys.create(self.owner.id, form.create(), self.page.admin)
        return await self.show(made)

    @property
    def call(self) -> ApiCall:
        """The call of the API for the list."""
        if self.path.startswith(ACCOUNT):
            return self.page.api_call("/api-keys", None)
        return self.page.api_call(f"/users/{self.owner.id}/api-keys", Permission.KEYS_MANAGE)

    def confirm_revocation(self, key_id: UUID) -> Response:
        """Ask for confirmation before a key is revoked."""
        return self.page.render(
            "access/confirm.html",
            title=N_("Revoke the API key?"),
            text=N_(
                "Programs that use it are refused from their next request on. "
                "This cannot be undone."
            ),
            action=N_("Revoke the key"),
            place=f"{self.path}/{key_id}/revoke",
            back=self.path,
        )

    async def revoke(self, key_id: UUID) -> Response:
        """Revoke a key."""
        await self._keys.revoke(key_id, self.owner.id, self.page.admin)
        return self.page.redirect_to(self.path, Notice("Revoked the API key"))

    async def _found(self) -> ApiKeyPage:
        return ApiKeyPage.model_validate(await self._keys.of(self.owner.id, PageParams()))

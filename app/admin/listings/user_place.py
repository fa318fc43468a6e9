"""URLs of a user's views, which lead back to the list that they were reached from."""

from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import Depends, Query
from pydantic import AfterValidator

from app.admin.listings.users import USERS_PATH
from app.admin.login_page import safe_view
from app.api.types import UserId
from app.schemas.base import Text

Back = Annotated[Text, AfterValidator(safe_view)]


class UserPlace(NamedTuple):
    """A user's views.

    Attributes:
        back: URL of the list with its filter and page.
    """

    user_id: int
    back: str = USERS_PATH

    def path(self, view: str = "") -> str:
        return f"{USERS_PATH}/{self.user_id}{view}"

    def url(self, view: str = "") -> str:
        """URL of the user, or of a view below, such as `/edit`."""
        query = f"?{urlencode({'back': self.back})}" if self.back != USERS_PATH else ""
        return self.path(view) + query


async def get_place(user_id: UserId, back: Annotated[Back, Query()] = USERS_PATH) -> UserPlace:
    return UserPlace(user_id, back)


Place = Annotated[UserPlace, Depends(get_place)]

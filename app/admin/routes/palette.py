"""The route of the palette's entries."""

from typing import Annotated

from fastapi import Query, Response

from app.admin.deps.pages import AnyPage
from app.admin.rendering import BASE
from app.admin.services.palette import found_actions, found_settings, found_users, found_views
from app.api.deps.services import UserLists
from app.api.routing import Router
from app.schemas.list_params import Search

router = Router(prefix=BASE, include_in_schema=False)


@router.get("/palette", name="dashboard_palette")
async def palette(
    page: AnyPage, users: UserLists, search: Annotated[Search | None, Query()] = None
) -> Response:
    """Users, views, actions and settings that are found by a search; without one, all views and
    actions."""
    sought, caller, words = search or "", page.admin, page.words
    groups = {
        "Users": await found_users(sought, caller, users),
        "Views": found_views(sought, caller, words),
        "Actions": found_actions(sought, caller, words),
        "Settings": found_settings(sought, caller, words),
    }
    return page.render("palette.html", groups=groups)

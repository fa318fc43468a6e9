"""Entries of the palette that the caller may see, found by words of their language."""

from collections.abc import Iterable
from typing import NamedTuple

from app.admin.navigation import actions_of, views_of
from app.admin.rendering import ACCOUNT, BASE
from app.admin.translation import N_, Translation
from app.core.config import variables
from app.core.pagination import PageParams
from app.core.permissions import Permission
from app.schemas.access.session import Principal
from app.schemas.user_list import UserFilters
from app.services.user.lists import UserListService

MAX_USERS = MAX_SETTINGS = 8


class Entry(NamedTuple):
    """An entry: a link with a name, and what distinguishes it from others of that name."""

    name: str
    url: str
    note: str | None = None


async def found_users(search: str, caller: Principal, users: UserListService) -> list[Entry]:
    """The first users whom the search of the users list finds; none without a search.

    Raises:
        ValidationException: it takes too long among so many users.
    """
    if not search or not caller.may(Permission.USERS_READ):
        return []
    found = await users.page(UserFilters(search=search), PageParams(size=MAX_USERS))
    return [Entry(user.username, f"{BASE}/users/{user.id}", user.email) for user in found.items]


def found_views(search: str, caller: Principal, words: Translation) -> list[Entry]:
    views = [(view.name, BASE + view.path) for view in views_of(caller)]
    if caller.is_superuser:
        views.append((N_("Settings"), f"{BASE}/settings"))
    views.append((N_("Your account"), ACCOUNT))
    return _with(search, (Entry(words.translated(name), url) for name, url in views))


def found_actions(search: str, caller: Principal, words: Translation) -> list[Entry]:
    actions = actions_of(caller)
    return _with(search, (Entry(words.translated(one.name), BASE + one.path) for one in actions))


def found_settings(search: str, caller: Principal, words: Translation) -> list[Entry]:
    """The first settings whose names are found; none without a search."""
    if not search or not caller.is_superuser:
        return []
    settings = (
        Entry(
            name,
            f"{BASE}/settings?name={name}#{name}",
            words.translated(section.model_fields[field].description or ""),
        )
        for name, (section, field) in variables().items()
    )
    return _with(search, settings)[:MAX_SETTINGS]


def _with(search: str, entries: Iterable[Entry]) -> list[Entry]:
    """The entries whose names contain all words of the search."""
    words = search.casefold().split()
    return [entry for entry in entries if all(word in entry.name.casefold() for word in words)]

"""Chips: the filters of the users table in words, each with the URL of the table without it."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from app.admin.listings.users import UserListing
from app.schemas.list_params import filters_of
from app.schemas.user_list import UserFilters

CHOICES: dict[str, tuple[str, dict[Any, str]]] = {
    "is_active": ("State", {True: "Active", False: "Inactive"}),
    "is_superuser": ("Access", {True: "Superusers", False: "Other users"}),
    "has_mfa": ("Second factor", {True: "With", False: "Without"}),
    "email_verified": ("Email", {True: "Verified", False: "Not verified"}),
    "seen_within": (
        "Last seen",
        {"today": "Today", "7d": "Last 7 days", "30d": "Last 30 days", "90d": "Last 90 days"},
    ),
    "not_seen_for": (
        "Not seen",
        {
            "30d": "Last 30 days",
            "90d": "Last 90 days",
            "365d": "Last 365 days",
            "ever": "Ever",
        },
    ),
    "created_within": (
        "Created",
        {"today": "Today", "7d": "Last 7 days", "30d": "Last 30 days"},
    ),
}
"""Filters by one of a few values: the label of each, and its values in words."""


class Chip(NamedTuple):
    """A filter that is in use.

    Attributes:
        label: such as `State`.
        value: such as `Inactive`.
        url: the table without it.
        kind: of the value: English words of ours, the caller's own text, or a time in ISO 8601.
        is_other: whether it is a further value of the chip before it: either matches.
    """

    label: str
    value: str
    url: str
    kind: Literal["words", "text", "time"] = "text"
    is_other: bool = False


def chips(listing: UserListing) -> list[Chip]:
    """The filters in use, in the order of their declaration; the search comes last."""
    return [chip for name in (*filters_of(UserFilters), "search") for chip in _of(listing, name)]


def _of(listing: UserListing, name: str) -> Iterator[Chip]:
    value = getattr(listing, name)
    if value is None:
        return
    if name in {"id", "role"}:
        yield from _any_of(listing, name, value)
        return
    url = listing.with_filters(**{name: None}).url
    if name in CHOICES:
        label, words = CHOICES[name]
        yield Chip(label, words[value], url, "words")
    elif name == "search":
        yield Chip("Search", value, url)
    else:
        label = {"created_from": "Created from", "created_to": "Created to"}[name]
        yield Chip(label, listing.model_dump()[name], url, "time")


def _any_of(listing: UserListing, name: str, values: tuple[int | str, ...]) -> Iterator[Chip]:
    label = {"id": "Id", "role": "Role"}[name]
    for value in values:
        others = tuple(one for one in values if one != value) or None
        url = listing.with_filters(**{name: others}).url
        yield Chip(label, str(value), url, is_other=value != values[0])

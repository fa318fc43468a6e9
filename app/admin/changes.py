"""Doing the same to one user or to many: asking first, and telling what came of each."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import Form, Query, Response
from pydantic import AfterValidator, BaseModel, Field

from app.admin.addresses import way_back
from app.admin.listing import USERS
from app.admin.page import Notice, Page
from app.admin.rendering import BASE
from app.admin.users import Change, Outcome
from app.schemas.base import MAX_BIGINT, Text
from app.schemas.user import UserSchema

NAMED = 5
"""Names that a notice tells; how many more there are, it counts."""

Back = Annotated[Text, AfterValidator(way_back)]


class Selection(BaseModel):
    """What to do, and to whom.

    Attributes:
        back: the view to go on with.
    """

    action: Change
    id: list[Annotated[int, Field(ge=1, le=MAX_BIGINT)]] = Field([], max_length=100)
    back: Back = USERS


class Words(NamedTuple):
    """How a change is spoken of: `ask` it, say that it is `done`, and what it means."""

    ask: str
    done: str
    meaning: str
    is_grave: bool = True


WORDS: dict[Change, Words] = {
    "activate": Words(
        "Activate",
        "Activated",
        "They can log in. Sessions that have ended stay so.",
        is_grave=False,
    ),
    "deactivate": Words(
        "Deactivate",
        "Deactivated",
        "They are logged out everywhere at once, and cannot log in until they are activated again.",
    ),
    "end_sessions": Words(
        "End the sessions of",
        "Ended the sessions of",
        "They are logged out everywhere at once, and can log in again.",
    ),
    "delete": Words(
        "Delete",
        "Deleted",
        "Their accounts and sessions are gone for good. This cannot be undone.",
    ),
}


def ask(page: Page, selection: Selection, people: Sequence[UserSchema]) -> Response:
    """Whether to do it, or where nobody is selected, the view it came from."""
    if not people:
        return page.redirect(_path(selection), Notice("Nobody is selected", "error"))
    words = WORDS[selection.action]
    return page.render("users/confirm.html", selection=selection, people=people, words=words)


def tell(page: Page, selection: Selection, outcomes: Sequence[Outcome]) -> Response:
    """What came of it: a notice, or where it was refused to some, all of it (409)."""
    words = WORDS[selection.action]
    if any(outcome.refusal for outcome in outcomes):
        return page.render("users/outcomes.html", 409, selection=selection, outcomes=outcomes)
    names = _listed([outcome.name for outcome in outcomes])
    return page.redirect(_path(selection), Notice(f"{words.done} {names}"))


def _path(selection: Selection) -> str:
    return selection.back.removeprefix(BASE)


def _listed(names: Sequence[str]) -> str:
    """`ada`, `ada and bob`, `ada, bob and 7 more`."""
    if len(names) > NAMED:
        names = [*names[:NAMED], f"{len(names) - NAMED} more"]
    *first, last = names or ["nobody"]
    return f"{', '.join(first)} and {last}" if first else last


Asked = Annotated[Selection, Query()]
Confirmed = Annotated[Selection, Form()]
BackTo = Annotated[Back, Query()]

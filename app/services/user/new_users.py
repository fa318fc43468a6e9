"""Users about to be created: what can be said of them before they are."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pydantic import SecretStr

from app.core.exceptions import ConflictException, Detail, ValidationException
from app.core.normalisation import username_key
from app.schemas.bulk import BulkUserCreate
from app.schemas.user import NewUser, UserCreate

Taken = Mapping[str, AbstractSet[str]]
"""By field, `email` and `username`: emails and keys of usernames that are taken."""


@dataclass(slots=True)
class Draft:
    """A user who is not in the database yet.

    Attributes:
        user_in: what is known.
        index: what its row is called: its position in the list.
        username: as sent, or derived from the email.
        password: None where a hash was brought along.
        hashed_password: None until it is known.
    """

    user_in: NewUser
    index: int
    username: str
    password: SecretStr | None
    hashed_password: str | None

    @classmethod
    def of(cls, user_in: UserCreate | BulkUserCreate, index: int = 0) -> "Draft":
        brought = user_in.hashed_password if isinstance(user_in, BulkUserCreate) else None
        return cls(
            user_in,
            index,
            user_in.username or username_from(user_in.email),
            user_in.password,
            brought.get_secret_value() if brought else None,
        )

    @property
    def is_derived(self) -> bool:
        return self.user_in.username is None

    def sent(self) -> Iterator[tuple[str, str]]:
        """Each field that has to be unique and was sent, with what it is compared by."""
        yield "email", self.user_in.email
        if not self.is_derived:
            yield "username", username_key(self.username)

    def values(self) -> dict[str, object]:
        """What goes into the table, by column."""
        sent = self.user_in.model_dump(exclude={"password", "hashed_password"})
        found = {"username": self.username, "hashed_password": self.hashed_password}
        return {"is_active": True, "is_superuser": False} | sent | found


@dataclass(frozen=True, slots=True)
class Findings:
    """What the look at a list found.

    Attributes:
        drafts: its rows, those that can be read.
        invalid: faults of rows by themselves, each with `index`, `field` and `message`.
        conflicts: the same for what collides with another row or with the table.
    """

    drafts: Sequence[Draft]
    invalid: Sequence[Detail]
    conflicts: Sequence[Detail]

    @property
    def details(self) -> list[Detail]:
        """All of it, in the order of the rows."""
        return sorted([*self.invalid, *self.conflicts], key=lambda detail: detail["index"])

    @property
    def acceptable(self) -> list[Draft]:
        """The drafts against which nothing stands."""
        refused = {detail["index"] for detail in self.details}
        return [draft for draft in self.drafts if draft.index not in refused]

    def refuse(self) -> None:
        """Let everything be told in one answer, if there is anything to tell.

        Raises:
            ValidationException: some rows are invalid; others may collide as well.
            ConflictException: all rows are valid, and some collide.
        """
        if self.invalid:
            raise ValidationException("Some rows are not valid", details=self.details)
        if self.conflicts:
            raise ConflictException("Some rows are already taken", details=self.details)


def conflicts_of(drafts: Iterable[Draft], taken: Taken) -> list[Detail]:
    """What collides with the table, or with a row before it."""
    found: list[Detail] = []
    first: dict[tuple[str, str], int] = {}
    for draft in drafts:
        for field, value in draft.sent():
            before = first.setdefault((field, value), draft.index)
            if value in taken[field]:
                message = "already taken"
            elif before != draft.index:
                message = f"the same as in row {before}"
            else:
                continue
            found.append({"index": draft.index, "field": field, "message": message})
    return found


def settle_usernames(drafts: Iterable[Draft], taken: Taken) -> None:
    """Give each derived username that somebody has, in the table or the list, a random ending."""
    drafts = list(drafts)
    used = set(taken["username"]) | {username_key(d.username) for d in drafts if not d.is_derived}
    for draft in drafts:
        if draft.is_derived:
            if draft.username in used:
                draft.username = f"{draft.username[:23]}-{secrets.token_hex(4)}"
            used.add(draft.username)


def username_from(email: str) -> str:
    """A valid username made of the part before the @, such as `ada.lovelace`."""
    name = re.sub(r"[^a-z0-9._-]+", "-", email.partition("@")[0]).strip("._-") or "user"
    return name[:32] if len(name) >= 3 else f"{name}-user"

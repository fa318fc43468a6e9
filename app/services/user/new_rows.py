"""Rows of users to insert: column values, derived usernames, conflicts."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import SecretStr

from app.core.details import Detail
from app.core.exceptions import ConflictException, ValidationException
from app.core.text.normalisation import username_key
from app.schemas.bulk import BulkUserCreate
from app.schemas.user import NewUser, UserCreate

TakenValues = Mapping[str, AbstractSet[str]]
"""By field, `email` and `username`: emails and keys of usernames that are taken."""
PRIVILEGE_REFUSED: Detail = {"message": "only a superuser may set this", "code": "not_allowed"}


@dataclass(slots=True)
class NewUserRow:
    """A user who is not in the database yet.

    Attributes:
        user_in: the values that were sent.
        index: the row's number in reports: its position in the list, or a line.
        username: as sent, or derived from the email.
        password: None where a hash was sent instead.
        hashed_password: None until the password is hashed.
        is_verified: whether the email is known to be the user's.
    """

    user_in: NewUser
    index: int
    username: str
    password: SecretStr | None
    hashed_password: str | None
    is_verified: bool = False

    @classmethod
    def of(cls, user_in: UserCreate | BulkUserCreate, index: int = 0) -> "NewUserRow":
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

    @property
    def names(self) -> tuple[str | None, ...]:
        """Public facts, which are refused as a password."""
        return self.user_in.email, self.username, self.user_in.full_name

    def sent(self) -> Iterator[tuple[str, str]]:
        """Each unique field that was sent, with the key that it is compared by."""
        yield "email", self.user_in.email
        if not self.is_derived:
            yield "username", username_key(self.username)

    def values(self) -> dict[str, object]:
        """Values for the table, by column."""
        sent = self.user_in.model_dump(exclude={"password", "hashed_password"})
        found = {"username": self.username, "hashed_password": self.hashed_password}
        verified_at = datetime.now(UTC) if self.is_verified else None
        defaults = {"is_active": True, "is_superuser": False, "email_verified_at": verified_at}
        return defaults | sent | found


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """A list of users, checked.

    Attributes:
        rows: those that can be read.
        invalid: faults of rows by themselves, each with `index`, `field` and `message`.
        conflicts: the same for collisions with another row or with the table.
    """

    rows: Sequence[NewUserRow]
    invalid: Sequence[Detail]
    conflicts: Sequence[Detail]

    @property
    def details(self) -> list[Detail]:
        """All faults and conflicts, in the order of the rows."""
        return sorted([*self.invalid, *self.conflicts], key=lambda detail: detail["index"])

    @property
    def acceptable(self) -> list[NewUserRow]:
        """The rows without a fault or a conflict."""
        refused = {detail["index"] for detail in self.details}
        return [row for row in self.rows if row.index not in refused]

    def require_acceptable(self) -> None:
        """Refuse the list with all faults and conflicts at once, if there are any.

        Raises:
            ValidationException: some rows are invalid; others may collide as well.
            ConflictException: all rows are valid, and some collide.
        """
        if self.invalid:
            raise ValidationException("Some rows are not valid", details=self.details)
        if self.conflicts:
            raise ConflictException(
                "Some emails or usernames are already taken", details=self.details
            )


def conflicts_of(rows: Iterable[NewUserRow], taken: TakenValues) -> list[Detail]:
    """Collisions of rows with the table, or with a row before them."""
    found: list[Detail] = []
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        for field, value in row.sent():
            before = first.setdefault((field, value), row.index)
            if value in taken[field]:
                code, message = "taken", "already taken"
            elif before != row.index:
                code, message = "repeated", f"the same as in row {before}"
            else:
                continue
            found.append({"index": row.index, "field": field, "message": message, "code": code})
    return found


def make_usernames_unique(rows: Iterable[NewUserRow], taken: TakenValues) -> None:
    """Give each derived username that is taken, in the table or the list, a random ending."""
    rows = list(rows)
    used = set(taken["username"]) | {
        username_key(row.username) for row in rows if not row.is_derived
    }
    for row in rows:
        if row.is_derived:
            if row.username in used:
                row.username = f"{row.username[:23]}-{secrets.token_hex(4)}"
            used.add(row.username)


def username_from(email: str) -> str:
    """A valid username made of the part before the @, such as `ada.lovelace`."""
    name = re.sub(r"[^a-z0-9._-]+", "-", email.partition("@")[0]).strip("._-") or "user"
    return name[:32] if len(name) >= 3 else f"{name}-user"

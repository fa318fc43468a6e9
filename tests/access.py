"""Access of callers to operations: rows of the matrix, and what a resource adds to it.

A resource has its rows beside its own tests: a module `tests/integration/test_*.py` with
`RESOURCE = Resource(…)` is found by its text.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security import RefreshTokenSigner

API = "/api/v1"
CALLERS = ("anonymous", "owner", "another", "superuser", "disabled", "expired", "logged out")
"""`owner` is a plain user, whose resources all of them ask for; `another` is one too. The last
three are superusers of old, who may do most: one deactivated after the token was issued, one with
a token past its end, one who has logged out."""
DELEGATES = ("permitted", "forbidden")
"""Plain users with a role: with the one permission that the operation requires, or with all others.
What they get follows from the row's permission: what the superuser gets, or `another`."""
KEYS = ("key", "bare key", "revoked key")
"""Programs with a key of the superuser: with the one permission that the operation requires, with
none, and with one that was revoked after it had been used."""


IMPERSONATORS = ("looking", "acting")
"""Superusers who act as a plain user with a role that has all permissions: read-only, or with
changes allowed. They read what that user reads, and change nothing but what a row says."""


@dataclass(frozen=True)
class Caller:
    """A caller. An anonymous one has no account, and tokens that were never issued.

    Attributes:
        rows: ids of the owner's rows of resources, by path parameter.
    """

    id: int
    email: str
    access_token: str | None
    refresh_token: str
    session_id: UUID
    page_token: str | None = None
    rows: Mapping[str, object] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}

    @property
    def named(self) -> dict[str, object]:
        """Values of path parameters: of this caller, and of the resources."""
        return {
            "user_id": self.id,
            "session_id": self.session_id,
            "passkey_id": 1,
            **self.rows,
        }


REFRESH_TOKENS = RefreshTokenSigner("a secret that is only used in the tests")
NOBODY = Caller(0, "nobody@example.com", None, REFRESH_TOKENS.new(uuid4()), uuid4())


@dataclass(frozen=True)
class Row:
    """One operation.

    Attributes:
        expected: a status for each of CALLERS; 2xx is any success.
        options: what is sent, as httpx takes it, where it depends on nobody.
        options_of: the same, where it is the caller's own.
        permission: with which a plain user gets what a superuser gets.
        also: further permissions of the one who is permitted.
        delegates: a status for each of DELEGATES, where it does not follow.
        by_keys: whether a key is accepted at all; what needs a permission accepts those that have
            it, what needs a login none, and what is public all of them.
        by_impersonators: a status for each of IMPERSONATORS, where it does not follow.
    """

    expected: str
    options: dict[str, Any] | None = None
    options_of: Callable[[Caller], dict[str, Any]] | None = None
    permission: str | None = None
    also: tuple[str, ...] = ()
    delegates: str = ""
    by_keys: bool | None = None
    by_impersonators: str = ""

    def status_for(self, caller: str) -> str:
        if caller in DELEGATES and self.delegates:
            return dict(zip(DELEGATES, self.delegates.split(), strict=True))[caller]
        if caller in DELEGATES:
            is_permitted = caller == "permitted" and self.permission is not None
            caller = "superuser" if is_permitted else "another"
        return dict(zip(CALLERS, self.expected.split(), strict=True))[caller]

    @property
    def is_public(self) -> bool:
        """Whether it reads no token: somebody logged out gets what the superuser gets."""
        return self.status_for("logged out") == self.status_for("superuser")

    def status_for_key(self, kind: str) -> str:
        """The status for one of KEYS."""
        if self.is_public:
            return self.status_for("superuser")
        if kind == "revoked key":
            return "401"
        accepted = self.permission is not None if self.by_keys is None else self.by_keys
        if not accepted:
            return "403"
        is_permitted = self.permission is None or kind == "key"
        return self.status_for("superuser" if is_permitted else "another")

    def status_for_impersonator(self, kind: str, method: str) -> str:
        """The status for one of IMPERSONATORS."""
        if self.by_impersonators:
            statuses = self.by_impersonators.split()
            return dict(zip(IMPERSONATORS, statuses, strict=True))[kind]
        if method != "GET" and not self.is_public:
            return "403"
        return self.status_for("superuser" if self.permission else "another")

    def sent_by(self, caller: Caller) -> dict[str, Any]:
        return self.options_of(caller) if self.options_of else self.options or {}


#                 anonymous, owner, another, superuser, disabled, expired, logged out
LOGGED_IN = "         401     2xx     2xx       2xx        401      401       401"
ANYONE = "            2xx     2xx     2xx       2xx        2xx      2xx       2xx"
OWNER = "             401     2xx     404       404        401      401       401"
ABSENT = "            401     404     404       404        401      401       401"
CONFLICT = "          401     409     409       409        401      401       401"
INVALID = "           401     422     422       422        401      401       401"
NO_ONE = "            401     401     401       401        401      401       401"
OWN_OR_SUPERUSER = "  401     2xx     404       2xx        401      401       401"
OWNER_OR_SUPERUSER = "401     2xx     403       2xx        401      401       401"
SUPERUSER = "         401     403     403       2xx        401      401       401"
SIGN_UP = "           2xx     2xx     2xx       2xx        401      401       401"
LOGIN = "             401     2xx     2xx       2xx        401      2xx       2xx"
TOKEN = "             400     2xx     2xx       2xx        400      2xx       2xx"
REFRESH = "           401     2xx     2xx       2xx        401      2xx       401"


@dataclass(frozen=True)
class Resource:
    """What a resource adds to the matrix.

    Attributes:
        rows: of its operations.
        add: adds a row that belongs to the user with this id.
        parameter: of the paths, which names that row.
    """

    rows: Mapping[str, Row]
    add: Callable[[AsyncSession, int], Awaitable[Any]]
    parameter: str


def resources() -> Iterator[Resource]:
    for file in sorted(Path(__file__).with_name("integration").glob("test_*.py")):
        if "\nRESOURCE = Resource(" in file.read_text():
            yield import_module(f"tests.integration.{file.stem}").RESOURCE

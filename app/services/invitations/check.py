"""Checks of the rows of invitations: addresses, privileges, roles, and those who are invited."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.core.details import Detail
from app.core.exceptions import ConflictException, ValidationException
from app.models.role import Role
from app.schemas.access.session import Principal
from app.schemas.bulk import RefusedRow
from app.schemas.invitation import InvitationCreate
from app.services.access.rules import permissions_of
from app.services.user.new_rows import PRIVILEGE_REFUSED

COOLDOWN = timedelta(minutes=1)
"""Between two invitations of one address."""


@dataclass(frozen=True, slots=True)
class CheckedInvitations:
    """The rows of a request, checked.

    Attributes:
        rows: those that can be read.
        roles: the names of all roles in them.
        invalid: faults of rows by themselves, each with `index`, `field` and `message`.
        conflicts: the same for addresses that are invited already.
    """

    rows: Sequence[InvitationCreate]
    roles: Collection[str]
    invalid: Sequence[Detail]
    conflicts: Sequence[Detail]

    @property
    def details(self) -> list[Detail]:
        """All faults and conflicts, in the order of the rows."""
        return sorted([*self.invalid, *self.conflicts], key=lambda detail: detail["index"])

    def require_acceptable(self, *, is_list: bool) -> None:
        """Refuse all rows, if any has a fault.

        Args:
            is_list: whether a list was sent; the faults of a single row have no `index`.

        Raises:
            ValidationException: some rows are invalid; others may conflict as well.
            ConflictException: all rows are valid, and some addresses are invited already.
        """
        details = self.details
        if not is_list:
            details = [{k: v for k, v in detail.items() if k != "index"} for detail in details]
        if self.invalid:
            raise ValidationException(details=details)
        if self.conflicts:
            raise ConflictException("Invited already: resend the invitation", details=details)


def row_faults(
    row: InvitationCreate | RefusedRow, caller: Principal, roles: Mapping[str, Role]
) -> list[Detail]:
    """Faults of a row by itself: values that cannot be read, and what the caller may not grant."""
    if isinstance(row, RefusedRow):
        return list(row.details)
    faults: list[Detail] = []
    if row.is_superuser and not caller.is_superuser:
        faults.append({"field": "is_superuser", **PRIVILEGE_REFUSED})
    if not roles.keys() >= set(row.roles):
        message = "there is no such role"
        faults.append({"field": "roles", "message": message, "code": "not_found"})
    granted = permissions_of(roles[name] for name in row.roles if name in roles)
    if not granted <= caller.permissions:
        message = "allows what you may not do yourself"
        faults.append({"field": "roles", "message": message, "code": "not_allowed"})
    return faults


def address_conflicts(rows: Mapping[int, InvitationCreate], invited: set[str]) -> list[Detail]:
    """Addresses that are invited already, or twice in the list."""
    found: list[Detail] = []
    first: dict[str, int] = {}
    for index, row in rows.items():
        before = first.setdefault(row.email, index)
        if row.email in invited:
            code, message = "taken", "is invited already, or was a moment ago"
        elif before != index:
            code, message = "repeated", f"the same as in row {before}"
        else:
            continue
        found.append({"index": index, "field": "email", "message": message, "code": code})
    return found

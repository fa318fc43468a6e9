"""Warning before callers take rights from themselves: they might not get back to undo it."""

from collections.abc import Iterable

from app.core.exceptions import ConflictException
from app.schemas.access.session import Principal
from app.schemas.user import UserUpdate


class OwnRightsException(ConflictException):
    """Callers would take rights from themselves. The form is sent again to do it."""

    error = "own_rights"


def check_own_demotion(admin: Principal, user_id: int, changes: UserUpdate) -> None:
    """
    Raises:
        OwnRightsException: callers demote themselves.
    """
    if user_id == admin.user_id and changes.is_superuser is False:
        raise OwnRightsException("This is your own account: you will not be a superuser any more")


def check_own_roles(
    admin: Principal, user_id: int, had: Iterable[str], chosen: Iterable[str]
) -> None:
    """
    Raises:
        OwnRightsException: callers take a role from themselves. Superusers have all rights without.
    """
    lost = sorted(set(had) - set(chosen))
    if user_id == admin.user_id and lost and not admin.is_superuser:
        raise OwnRightsException(
            f"This is your own account: you will lose what these roles allow: {', '.join(lost)}"
        )

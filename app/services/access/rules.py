"""Rules about callers who change accounts or give permissions."""

from collections.abc import Iterable

from app.core.exceptions import ForbiddenException
from app.core.permissions import Permission, known
from app.models import User
from app.models.role import Role
from app.schemas.access.session import Principal


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """All that these roles allow."""
    return frozenset[Permission]().union(*(known(role.permissions) for role in roles))


def check_granted(caller: Principal, permissions: Iterable[str]) -> None:
    """Check that a caller gives or takes no more than they have themselves.

    Raises:
        ForbiddenException: they lack some of these permissions.
    """
    if missing := sorted(set(permissions) - caller.permissions):
        raise ForbiddenException(f"You do not have {', '.join(missing)} yourself")


def check_superuser(caller: Principal, user: User) -> None:
    """Check that only superusers touch the account of a superuser.

    Raises:
        ForbiddenException: the user is a superuser, and the caller is none.
    """
    if user.is_superuser and not caller.is_superuser:
        raise ForbiddenException("Only a superuser may change a superuser")


def check_may_change(caller: Principal, user: User, roles: Iterable[Role] = ()) -> None:
    """Check that a caller may change another user's account. Who changes an account's email can
    take it over, so that the account may do no more than the caller.

    Args:
        caller: who changes.
        user: whose account it is.
        roles: of the user.

    Raises:
        ForbiddenException: the account may do more than the caller.
    """
    if caller.user_id != user.id:
        check_superuser(caller, user)
        check_granted(caller, permissions_of(roles))

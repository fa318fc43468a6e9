"""The views of the admin pages in the order of the navigation, actions, and who may see each."""

from typing import NamedTuple

from app.core.permissions import Permission
from app.schemas.access.session import Principal


class View(NamedTuple):
    """An entry of the navigation.

    Attributes:
        path: below the pages' own.
        permissions: of which a caller needs all.
    """

    name: str
    path: str
    permissions: frozenset[Permission]


OVERVIEW = View("Overview", "", frozenset({Permission.STATS_READ, Permission.METRICS_READ}))
VIEWS = (
    OVERVIEW,
    View("Users", "/users", frozenset({Permission.USERS_READ})),
    View("Invitations", "/invitations", frozenset({Permission.USERS_INVITE})),
    View("Roles", "/roles", frozenset({Permission.ROLES_MANAGE})),
    View("Jobs", "/jobs", frozenset({Permission.JOBS_MANAGE})),
    View("Audit", "/audit", frozenset({Permission.AUDIT_READ})),
    View("Mail", "/mail", frozenset({Permission.MAIL_READ})),
    View("Requests", "/requests", frozenset({Permission.REQUESTS_READ})),
)
ACTIONS = (
    View("New user", "/users/new", frozenset({Permission.USERS_CREATE})),
    View("Invite a user", "/invitations/new", frozenset({Permission.USERS_INVITE})),
    View("New role", "/roles/new", frozenset({Permission.ROLES_MANAGE})),
    View("Actions on many users", "/bulk-actions", frozenset({Permission.USERS_READ})),
)
SUPERUSER_ACTIONS = (
    View("Upload a file of users", "/users/upload", frozenset()),
    View("Imports and exports", "/transfers", frozenset()),
)


def views_of(caller: Principal) -> list[View]:
    """The views that a caller may see: none without a role, or by a role that allows none."""
    if not caller.may_use_admin_pages:
        return []
    return [view for view in VIEWS if view.permissions <= caller.permissions]


def actions_of(caller: Principal) -> list[View]:
    """The forms that a caller may use."""
    actions = (*ACTIONS, *SUPERUSER_ACTIONS) if caller.is_superuser else ACTIONS
    return [action for action in actions if action.permissions <= caller.permissions]

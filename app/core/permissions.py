"""`Permission`: what a caller may do beyond their own account. Superusers have all of them."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self


class Permission(StrEnum):
    """A permission, as `resource:action`. Names are permanent: roles and API keys store them.

    Attributes:
        description: what it allows, for the API's document and the admin pages.
    """

    description: str

    def __new__(cls, name: str, description: str) -> Self:
        permission = str.__new__(cls, name)
        permission._value_ = name
        permission.description = description
        return permission

    USERS_READ = "users:read", "List and read all users"
    USERS_CREATE = "users:create", "Create users, one by one or in bulk"
    USERS_UPDATE = "users:update", "Change, activate and deactivate users"
    USERS_DELETE = "users:delete", "Delete users"
    USERS_EXPORT = "users:export", "Export users as a file"
    USERS_INVITE = "users:invite", "Invite users by mail"
    SESSIONS_READ = "sessions:read", "List the sessions of all users"
    SESSIONS_END = "sessions:end", "End sessions of all users"
    ROLES_MANAGE = "roles:manage", "Create, change and delete roles, and give them to users"
    KEYS_MANAGE = "keys:manage", "List, make and revoke the API keys of all users"
    STATS_READ = "stats:read", "Read the statistics of users"
    METRICS_READ = "metrics:read", "Read the metrics of the service"
    AUDIT_READ = "audit:read", "Read and export the audit trail"
    JOBS_MANAGE = "jobs:manage", "List, retry and cancel background jobs"
    MAIL_READ = "mail:read", "Read the records of mails, and the templates"
    REQUESTS_READ = "requests:read", "Read the records of recent requests and errors"


ALL = frozenset(Permission)
NOT_FOR_KEYS = frozenset({Permission.ROLES_MANAGE, Permission.KEYS_MANAGE})
"""Permissions that no API key has: it could give itself others."""
NONE: frozenset[Permission] = frozenset()
_BY_NAME = {permission.value: permission for permission in Permission}


def known(names: Iterable[str]) -> frozenset[Permission]:
    """The permissions with these names; a stored name may belong to another release."""
    return frozenset(_BY_NAME[name] for name in names if name in _BY_NAME)

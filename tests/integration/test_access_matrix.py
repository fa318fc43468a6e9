"""The access matrix: every operation, called by every kind of caller.

A new operation needs a row in MATRIX, or, for a resource of your own, in `RESOURCE` of its tests; a
new view or form of the admin pages needs one in PAGES.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from time import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.permissions import Permission
from app.core.security import Actor, TokenSigner
from app.core.security.api_keys import new_api_key
from app.core.security.signing import FormSigner
from app.models import Session, User
from app.models.access.api_key import ApiKey
from app.models.account_deletion import AccountDeletion
from app.models.background.bulk_action import BulkAction
from app.models.background.transfer import Transfer, TransferPart
from app.models.invitation import Invitation
from app.models.role import Role, UserRole
from app.models.saved_view import SavedView
from app.repositories.background.jobs import JobQueue
from app.runtime import Runtime
from app.schemas.account import Purpose
from app.schemas.background.jobs import PurgeSessions
from tests.access import (
    ABSENT,
    ANYONE,
    API,
    CALLERS,
    CONFLICT,
    DELEGATES,
    IMPERSONATORS,
    INVALID,
    KEYS,
    LOGGED_IN,
    LOGIN,
    NO_ONE,
    NOBODY,
    OWNER,
    OWNER_OR_SUPERUSER,
    REFRESH,
    REFRESH_TOKENS,
    SIGN_UP,
    SUPERUSER,
    TOKEN,
    Caller,
    Row,
    resources,
)
from tests.conftest import PASSWORD

RESOURCES = tuple(resources())
CREDENTIAL = {
    "id": "AAAA",
    "rawId": "AAAA",
    "type": "public-key",
    "response": dict.fromkeys(
        ("clientDataJSON", "attestationObject", "authenticatorData", "signature"), "AAAA"
    ),
}
"""As browsers send it, of no authenticator."""
NEXT_MONTH = (datetime.now(UTC) + timedelta(days=30)).isoformat()
KEY = {"name": "Robot", "permissions": [], "expires_at": NEXT_MONTH}
PLACES = (API, "/account")
MATRIX = {
    "login": Row(LOGIN, options_of=lambda me: {"json": {"email": me.email, "password": PASSWORD}}),
    "login_form": Row(
        TOKEN, options_of=lambda me: {"data": {"username": me.email, "password": PASSWORD}}
    ),
    "refresh": Row(REFRESH, options_of=lambda me: {"json": {"refresh_token": me.refresh_token}}),
    "logout": Row(LOGGED_IN, by_impersonators="2xx 2xx"),
    "logout_all": Row(LOGGED_IN),
    "change_password": Row(
        LOGGED_IN, {"json": {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}}
    ),
    "request_password_recovery": Row(ANYONE, options_of=lambda me: {"json": {"email": me.email}}),
    "reset_password": Row(
        ANYONE,
        options_of=lambda me: {
            "json": {"token": me.rows[Purpose.PASSWORD_RESET], "new_password": f"{PASSWORD}!"}
        },
    ),
    "send_password_reset": Row(SUPERUSER, permission="users:update", by_keys=False),
    "login_mfa": Row(NO_ONE, {"json": {"mfa_token": "x", "code": "123456"}}),
    "confirm": Row(LOGGED_IN, {"json": {"password": PASSWORD}}),
    "get_mfa": Row(LOGGED_IN),
    "begin_totp": Row(LOGGED_IN),
    "confirm_totp": Row(CONFLICT, {"json": {"code": "123456"}}),
    "remove_totp": Row(ABSENT),
    "new_recovery_codes": Row(CONFLICT),
    "passkey_login_options": Row(ANYONE),
    "login_passkey": Row(NO_ONE, {"json": {"credential": CREDENTIAL}}),
    "passkey_registration_options": Row(LOGGED_IN),
    "register_passkey": Row(INVALID, {"json": {"name": "Phone", "credential": CREDENTIAL}}),
    "list_passkeys": Row(LOGGED_IN),
    "rename_passkey": Row(ABSENT, {"json": {"name": "Phone"}}),
    "remove_passkey": Row(ABSENT),
    "request_email_change": Row(
        LOGGED_IN, {"json": {"email": "new@example.com", "current_password": PASSWORD}}
    ),
    "confirm_email_change": Row(
        ANYONE, options_of=lambda me: {"json": {"token": me.rows[Purpose.EMAIL_CHANGE]}}
    ),
    "undo_email_change": Row(
        ANYONE, options_of=lambda me: {"json": {"token": me.rows[Purpose.EMAIL_CHANGE_UNDO]}}
    ),
    "request_email_verification": Row(LOGGED_IN),
    "verify_email": Row(
        ANYONE, options_of=lambda me: {"json": {"token": me.rows[Purpose.EMAIL_VERIFICATION]}}
    ),
    "export_my_data": Row(LOGGED_IN, by_impersonators="403 403"),
    "delete_my_account": Row(INVALID, {"json": {"current_password": "a guess"}}),
    "undo_deletion": Row(
        ANYONE, options_of=lambda me: {"json": {"token": me.rows[Purpose.DELETION_UNDO]}}
    ),
    "send_invitations": Row(
        SUPERUSER, {"json": {"email": "new@example.com"}}, permission="users:invite"
    ),
    "list_invitations": Row(SUPERUSER, permission="users:invite"),
    "resend_invitation": Row(SUPERUSER, permission="users:invite"),
    "revoke_invitation": Row(SUPERUSER, permission="users:invite"),
    "accept_invitation": Row(
        ANYONE,
        options_of=lambda me: {
            "json": {"token": me.rows[Purpose.INVITATION], "password": PASSWORD}
        },
    ),
    "list_sessions": Row(LOGGED_IN),
    "end_session": Row(OWNER),
    "create_user": Row(
        SIGN_UP, {"json": {"email": "new@example.com", "password": PASSWORD}}, by_keys=True
    ),
    "create_users_bulk": Row(
        SUPERUSER,
        {"json": [{"email": "new@example.com", "password": PASSWORD}]},
        permission="users:create",
    ),
    "list_users": Row(SUPERUSER, permission="users:read"),
    "list_users_by_cursor": Row(SUPERUSER, permission="users:read"),
    "export_users": Row(SUPERUSER, permission="users:export"),
    "get_me": Row(LOGGED_IN, by_keys=True),
    "list_my_events": Row(LOGGED_IN),
    "list_audit_events": Row(SUPERUSER, permission="audit:read"),
    "export_audit_events": Row(SUPERUSER, permission="audit:read"),
    "update_me": Row(LOGGED_IN, {"json": {"full_name": "Ada King"}}),
    "get_user": Row(OWNER_OR_SUPERUSER, permission="users:read"),
    "update_user": Row(
        OWNER_OR_SUPERUSER,
        {"json": {"full_name": "Ada King"}},
        permission="users:update",
        by_impersonators="403 2xx",
    ),
    "impersonate_user": Row(SUPERUSER, {"json": {"reason": "Support case 4711"}}),
    "reset_user_mfa": Row(SUPERUSER, permission="users:update", by_keys=False),
    "delete_user": Row(SUPERUSER, permission="users:delete"),
    "list_user_sessions": Row(SUPERUSER, permission="sessions:read"),
    "end_user_sessions": Row(SUPERUSER, permission="sessions:end"),
    "end_user_session": Row(SUPERUSER, permission="sessions:end"),
    "list_permissions": Row(LOGGED_IN, by_keys=True),
    "create_role": Row(
        SUPERUSER,
        {"json": {"name": "new", "permissions": ["roles:manage"]}},
        permission="roles:manage",
        by_keys=False,
    ),
    "create_api_key": Row(LOGGED_IN, {"json": KEY}),
    "list_api_keys": Row(LOGGED_IN),
    "revoke_api_key": Row(OWNER),
    "revoke_leaked_api_key": Row(ANYONE, {"json": {"key": new_api_key().text}}),
    "create_user_api_key": Row(SUPERUSER, {"json": KEY}, permission="keys:manage", by_keys=False),
    "list_user_api_keys": Row(SUPERUSER, permission="keys:manage", by_keys=False),
    "revoke_user_api_key": Row(SUPERUSER, permission="keys:manage", by_keys=False),
    "list_roles": Row(SUPERUSER, permission="roles:manage", by_keys=False),
    "get_role": Row(SUPERUSER, permission="roles:manage", by_keys=False),
    "update_role": Row(
        SUPERUSER, {"json": {"description": "x"}}, permission="roles:manage", by_keys=False
    ),
    "delete_role": Row(SUPERUSER, permission="roles:manage", by_keys=False),
    "list_user_roles": Row(OWNER_OR_SUPERUSER, permission="users:read"),
    "set_user_roles": Row(
        SUPERUSER, {"json": {"roles": ["none"]}}, permission="roles:manage", by_keys=False
    ),
    "get_dashboard_stats": Row(SUPERUSER, permission="stats:read"),
    "database_metrics": Row(SUPERUSER, permission="metrics:read"),
    "replica_metrics": Row(SUPERUSER, permission="metrics:read"),
    "cache_metrics": Row(SUPERUSER, permission="metrics:read"),
    "request_metrics": Row(SUPERUSER, permission="metrics:read"),
    "prometheus_metrics": Row(SUPERUSER, permission="metrics:read"),
} | {operation: row for resource in RESOURCES for operation, row in resource.rows.items()}


def confirmed(me: Caller) -> str:
    """What the question before an action on many users sealed."""
    forms = FormSigner("a secret that is only used in the tests")
    return forms.seal(
        ["bulk action", str(me.session_id), "end_sessions", "", 1_000, 1_000, int(time())]
    )


VIEW = "              login   403     403       2xx        login    login     login"
FORM = "              401     403     403       303        401      401       401"
POSTED_VIEW = "       401     403     403       2xx        401      401       401"
OWN_VIEW = "          login   2xx     2xx       2xx        login    login     login"
OWN_FORM = "          401     303     303       303        401      401       401"
ANYONES_FORM = "      303     303     303       303        303      303       303"
LOGIN_FORM = "        401     403     403       303        401      303       303"

LOGIN_PAGE = "        login   login   login     login      login    login     login"
OWN_REFUSED = "       401     409     409       409        401      401       401"
OWNERS_FORM = "       401     303     404       404        401      401       401"
OWN_ABSENT = "        401     404     404       404        401      401       401"
OWN_ABSENT_VIEW = "   login   404     404       404        login    login     login"
OWN_INVALID = "       401     422     422       422        401      401       401"
OWN_POSTED = "        401     2xx     2xx       2xx        401      401       401"
NO_APP = "            login   409     409       409        login    login     login"

EDITED = '{"email": "a@example.com", "username": "a"}'
"""The fields of a form to edit as it was shown."""

PAGES = {
    "dashboard_overview": Row(
        VIEW, permission="stats:read", also=("metrics:read",), delegates="2xx 303"
    ),
    "dashboard_live": Row(VIEW, permission="stats:read", also=("metrics:read",)),
    "dashboard_palette": Row(VIEW, delegates="2xx 2xx", by_impersonators="2xx 2xx"),
    "dashboard_login": Row(
        LOGIN_FORM,
        options_of=lambda me: {"data": {"username": me.email, "password": PASSWORD}},
        delegates="303 303",
    ),
    "dashboard_login_mfa": Row(
        NO_ONE, {"data": {"mfa_token": "x", "code": "123456"}}, delegates="401 401"
    ),
    "dashboard_login_passkey": Row(
        NO_ONE, {"data": {"credential": json.dumps(CREDENTIAL)}}, delegates="401 401"
    ),
    "account_security": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_begin_totp": Row(OWN_FORM, delegates="303 303"),
    "account_totp": Row(NO_APP, delegates="409 409", by_impersonators="403 403"),
    "account_confirm_totp": Row(OWN_REFUSED, {"data": {"code": "123456"}}, delegates="409 409"),
    "account_remove_totp": Row(OWN_ABSENT, delegates="404 404"),
    "account_recovery_codes": Row(OWN_REFUSED, delegates="409 409"),
    "account_passkey_options": Row(OWN_POSTED, delegates="2xx 2xx"),
    "account_register_passkey": Row(
        OWN_INVALID,
        {"data": {"name": "Phone", "credential": json.dumps(CREDENTIAL)}},
        delegates="422 422",
    ),
    "account_passkey": Row(OWN_ABSENT_VIEW, delegates="404 404"),
    "account_rename_passkey": Row(OWN_ABSENT, {"data": {"name": "Phone"}}, delegates="404 404"),
    "account_remove_passkey": Row(OWN_ABSENT, delegates="404 404"),
    "account_confirmation": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_confirm": Row(OWN_FORM, {"data": {"proof": PASSWORD}}, delegates="303 303"),
    "account_confirm_by_passkey": Row(
        OWN_INVALID, {"data": {"credential": json.dumps(CREDENTIAL)}}, delegates="422 422"
    ),
    "dashboard_logout": Row(OWN_FORM, delegates="303 303"),
    "dashboard_users": Row(VIEW, permission="users:read"),
    "dashboard_users_export": Row(VIEW, permission="users:export"),
    "dashboard_display_users": Row(FORM, permission="users:read"),
    "dashboard_new_view": Row(VIEW, permission="users:read"),
    "dashboard_save_view": Row(FORM, {"data": {"name": "New"}}, permission="users:read"),
    "dashboard_view": Row(VIEW, permission="users:read"),
    "dashboard_rename_view": Row(FORM, {"data": {"name": "New"}}, permission="users:read"),
    "dashboard_delete_view": Row(FORM, permission="users:read"),
    "dashboard_new_user": Row(VIEW, permission="users:create"),
    "dashboard_create_user": Row(
        FORM,
        {"data": {"email": "new@example.com", "password": PASSWORD}},
        permission="users:create",
    ),
    "dashboard_upload": Row(VIEW),
    "dashboard_take_upload": Row(
        POSTED_VIEW, {"files": {"file": ("users.csv", f"email,password\na@example.com,{PASSWORD}")}}
    ),
    "dashboard_confirm_change": Row(
        VIEW,
        {"params": {"action": "delete", "id": 1}},
        permission="users:delete",
        by_impersonators="403 403",
        also=("users:read",),
    ),
    "dashboard_change_users": Row(
        FORM,
        {"data": {"action": "end_sessions", "id": 1}},
        permission="sessions:end",
        also=("users:read",),
    ),
    "dashboard_bulk_actions": Row(VIEW, permission="users:read"),
    "dashboard_confirm_bulk_action": Row(
        VIEW,
        {"params": {"action": "delete"}},
        permission="users:delete",
        by_impersonators="403 403",
        also=("users:read",),
    ),
    "dashboard_begin_bulk_action": Row(
        FORM,
        options_of=lambda me: {"data": {"sealed": confirmed(me)}},
        permission="sessions:end",
        also=("users:read",),
    ),
    "dashboard_bulk_action": Row(VIEW, permission="users:read"),
    "dashboard_stop_bulk_action": Row(FORM, permission="users:read"),
    "dashboard_undo_bulk_action": Row(FORM, permission="users:update", also=("users:read",)),
    "dashboard_user": Row(VIEW, permission="users:read"),
    "dashboard_user_sessions": Row(VIEW, permission="sessions:read", also=("users:read",)),
    "dashboard_user_history": Row(VIEW, permission="audit:read", also=("users:read",)),
    "dashboard_user_json": Row(VIEW, permission="users:read"),
    "dashboard_end_user_session": Row(
        FORM, permission="sessions:end", also=("users:read", "sessions:read")
    ),
    "dashboard_edit_user": Row(VIEW, permission="users:update", also=("users:read",)),
    "dashboard_update_user": Row(
        FORM,
        {"data": {"email": "a@example.com", "username": "a", "full_name": "New", "was": EDITED}},
        permission="users:update",
        also=("users:read",),
    ),
    "dashboard_impersonation": Row(VIEW),
    "dashboard_impersonate": Row(FORM, {"data": {"reason": "Support case 4711"}}),
    "account_end_impersonation": Row(OWN_FORM, delegates="303 303", by_impersonators="303 303"),
    "dashboard_roles": Row(VIEW, permission="roles:manage"),
    "dashboard_new_role": Row(VIEW, permission="roles:manage"),
    "dashboard_create_role": Row(FORM, {"data": {"name": "new"}}, permission="roles:manage"),
    "dashboard_edit_role": Row(VIEW, permission="roles:manage"),
    "dashboard_update_role": Row(
        FORM,
        {"data": {"name": "same", "description": "New", "was": '{"name": "same"}'}},
        permission="roles:manage",
    ),
    "dashboard_confirm_role_deletion": Row(VIEW, permission="roles:manage"),
    "dashboard_delete_role": Row(FORM, permission="roles:manage"),
    "dashboard_user_roles": Row(VIEW, permission="roles:manage", also=("users:read",)),
    "dashboard_set_user_roles": Row(
        FORM,
        {"data": {"roles": "none", "was": "{}"}},
        permission="roles:manage",
        also=("users:read",),
    ),
    "account_keys": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_create_key": Row(OWN_POSTED, {"data": {"name": "Robot"}}, delegates="2xx 2xx"),
    "account_confirm_key_revocation": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_revoke_key": Row(OWNERS_FORM, delegates="404 404"),
    "dashboard_user_keys": Row(VIEW, permission="keys:manage", also=("users:read",)),
    "dashboard_create_user_key": Row(
        POSTED_VIEW, {"data": {"name": "Robot"}}, permission="keys:manage", also=("users:read",)
    ),
    "dashboard_confirm_user_key_revocation": Row(
        VIEW, permission="keys:manage", also=("users:read",)
    ),
    "dashboard_revoke_user_key": Row(FORM, permission="keys:manage", also=("users:read",)),
    "dashboard_send_password_reset": Row(FORM, permission="users:update", also=("users:read",)),
    "dashboard_invitations": Row(VIEW, permission="users:invite"),
    "dashboard_new_invitation": Row(VIEW, permission="users:invite"),
    "dashboard_send_invitation": Row(
        FORM, {"data": {"email": "new@example.com"}}, permission="users:invite"
    ),
    "dashboard_resend_invitation": Row(FORM, permission="users:invite"),
    "dashboard_revoke_invitation": Row(FORM, permission="users:invite"),
    "dashboard_jobs": Row(VIEW, permission="jobs:manage"),
    "dashboard_confirm_job_change": Row(
        VIEW, {"params": {"action": "cancel", "id": 1}}, permission="jobs:manage"
    ),
    "dashboard_change_jobs": Row(
        FORM, {"data": {"action": "cancel", "id": 1}}, permission="jobs:manage"
    ),
    "dashboard_job": Row(VIEW, permission="jobs:manage"),
    "dashboard_transfers": Row(VIEW),
    "dashboard_begin_export": Row(FORM),
    "dashboard_transfer": Row(VIEW),
    "dashboard_cancel_transfer": Row(FORM),
    "dashboard_transfer_file": Row(VIEW),
    "dashboard_audit": Row(VIEW, permission="audit:read"),
    "dashboard_audit_export": Row(VIEW, permission="audit:read"),
    "dashboard_mail": Row(VIEW, permission="mail:read"),
    "dashboard_requests": Row(VIEW, permission="requests:read"),
    "dashboard_settings": Row(VIEW),
    "dashboard_caught_mail": Row(VIEW),
    "dashboard_caught_mail_html": Row(VIEW),
    "dashboard_mail_preview": Row(VIEW, permission="mail:read"),
    "dashboard_mail_preview_html": Row(VIEW, permission="mail:read"),
    "account": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_profile": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_change_profile": Row(
        OWN_FORM,
        {"data": {"full_name": "Ada King", "username": "a", "was": '{"username": "a"}'}},
        delegates="303 303",
    ),
    "account_password": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_change_password": Row(
        OWN_FORM,
        {"data": {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}},
        delegates="303 303",
    ),
    "account_end_session": Row(
        OWN_FORM, options_of=lambda me: {"data": {"id": me.session_id}}, delegates="303 303"
    ),
    "account_end_other_sessions": Row(OWN_FORM, delegates="303 303"),
    "account_choose_language": Row(OWN_FORM, {"data": {"language": "de"}}, delegates="303 303"),
    "account_choose_language_before_login": Row(
        ANYONES_FORM, {"data": {"language": "de"}}, delegates="303 303"
    ),
    "account_login": Row(LOGIN_PAGE, delegates="login login"),
    "account_password_recovery": Row(ANYONE, delegates="2xx 2xx"),
    "account_request_password_recovery": Row(
        ANYONES_FORM, options_of=lambda me: {"data": {"email": me.email}}, delegates="303 303"
    ),
    "account_password_reset": Row(ANYONE, {"params": {"token": "x"}}, delegates="2xx 2xx"),
    "account_reset_password": Row(
        ANYONES_FORM,
        options_of=lambda me: {
            "data": {"token": me.rows[Purpose.PASSWORD_RESET], "new_password": f"{PASSWORD}!"}
        },
        delegates="303 303",
    ),
    "account_email": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_request_email_change": Row(
        OWN_FORM,
        {"data": {"email": "new@example.com", "current_password": PASSWORD}},
        delegates="303 303",
    ),
    "account_email_change": Row(ANYONE, {"params": {"token": "x"}}, delegates="2xx 2xx"),
    "account_confirm_email_change": Row(
        ANYONES_FORM,
        options_of=lambda me: {"data": {"token": me.rows[Purpose.EMAIL_CHANGE]}},
        delegates="303 303",
    ),
    "account_email_change_undo": Row(ANYONE, {"params": {"token": "x"}}, delegates="2xx 2xx"),
    "account_undo_email_change": Row(
        ANYONES_FORM,
        options_of=lambda me: {"data": {"token": me.rows[Purpose.EMAIL_CHANGE_UNDO]}},
        delegates="303 303",
    ),
    "account_export": Row(OWN_VIEW, delegates="2xx 2xx", by_impersonators="403 403"),
    "account_deletion": Row(OWN_VIEW, delegates="2xx 2xx"),
    "account_delete": Row(INVALID, {"data": {"current_password": "a guess"}}, delegates="422 422"),
    "account_deletion_undo": Row(ANYONE, {"params": {"token": "x"}}, delegates="2xx 2xx"),
    "account_undo_deletion": Row(
        ANYONES_FORM,
        options_of=lambda me: {"data": {"token": me.rows[Purpose.DELETION_UNDO]}},
        delegates="303 303",
    ),
    "account_send_verification": Row(OWN_FORM, delegates="303 303"),
    "account_email_verification": Row(ANYONE, {"params": {"token": "x"}}, delegates="2xx 2xx"),
    "account_verify_email": Row(
        ANYONES_FORM,
        options_of=lambda me: {"data": {"token": me.rows[Purpose.EMAIL_VERIFICATION]}},
        delegates="303 303",
    ),
    "account_invitation": Row(ANYONE, {"params": {"token": "x"}}, delegates="2xx 2xx"),
    "account_accept_invitation": Row(
        ANYONES_FORM,
        options_of=lambda me: {
            "data": {"token": me.rows[Purpose.INVITATION], "password": PASSWORD}
        },
        delegates="303 303",
    ),
}
ANONYMOUS = {"dashboard_login", "dashboard_login_mfa"} | {
    name for name, row in PAGES.items() if row.expected in {ANYONE, ANYONES_FORM}
}
"""Pages without a session, whose forms belong to a cookie with a random value."""
TRANSFER = UUID(int=1)
ROLE = 1_000_000
HTML, CSV = "text/html; charset=utf-8", "text/csv; charset=utf-8"
TYPES = {
    "dashboard_users_export": CSV,
    "dashboard_audit_export": CSV,
    "dashboard_transfer_file": CSV,
    "account_passkey_options": "application/json",
    "account_export": "application/json",
}
"""Routes of the admin page, by name: not in the OpenAPI document, since they are no API. `login` is
the login page, in place of the view."""


class Cast:
    """People with accounts and sessions, made without their logging in."""

    def __init__(self, runtime: Runtime, hashed_password: str) -> None:
        self._runtime = runtime
        self._hashed_password = hashed_password
        self._ids: dict[str, int] = {}
        self._rows: dict[str, object] = {}

    async def add_users(self) -> None:
        superusers = {"root", "once"}
        users = [
            User(
                email=f"{name}@example.com",
                username=name,
                hashed_password=self._hashed_password,
                is_superuser=name in superusers,
                is_active=True,
            )
            for name in ("ada", "bob", "root", "once", "eve")
        ]
        async with self._runtime.session_maker() as db:
            db.add_all(users)
            await db.commit()
            self._ids = {user.username: user.id for user in users}
            ada, _, root, *_ = users
            db.add(Role(id=ROLE, name="none", permissions=[]))
            await db.flush()
            for resource in RESOURCES:
                row = await resource.add(db, self._ids["ada"])
                self._rows[resource.parameter] = row.id
            await self._issue_tokens(db, ada, root)
            self._rows["role_id"] = ROLE
            await self._add_views(db, "root", "eve")
            await self._add_key(db, "ada", [])
            await JobQueue(db).enqueue(PurgeSessions())  # job 1
            values = {"id": TRANSFER, "kind": "export", "user_id": 1, "job_id": 1, "total": 1}
            db.add(Transfer(**values, name="users.csv", outcome="done", size=1, run=1, done=1))
            eves = {
                "id": TRANSFER,
                "user_id": self._ids["eve"],
                "session_id": TRANSFER,
                "job_id": 1,
            }
            db.add(BulkAction(**eves, action="deactivate", outcome="done"))
            await db.flush()
            db.add(TransferPart(transfer_id=TRANSFER, run=1, number=0, content=b"x"))
            await db.commit()
        folder = self._runtime.caught_mails._folder
        assert folder is not None
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "0-1.eml").write_text("Subject: caught\n\n")

    async def _issue_tokens(self, db: AsyncSession, user: User, inviter: User) -> None:
        """A link of each kind to `user`, and an invitation by `inviter`."""
        tokens = self._runtime.one_time_tokens(db)
        for purpose in Purpose:
            self._rows[purpose] = await tokens.issue(purpose, user, user.email, uuid4())
        token_id, now = uuid4(), datetime.now(UTC)
        leaving = User(
            email="leaving@example.com",
            username="leaving",
            hashed_password=self._hashed_password,
            is_active=False,
        )
        db.add(leaving)
        await db.flush()
        db.add(AccountDeletion(user_id=leaving.id, delete_after=now + timedelta(days=1)))
        self._rows[Purpose.DELETION_UNDO] = await tokens.issue(
            Purpose.DELETION_UNDO, leaving, leaving.email, uuid4()
        )
        self._rows[Purpose.INVITATION] = await tokens.issue(
            Purpose.INVITATION, inviter, "invited@example.com", token_id
        )
        values = {"email": "invited@example.com", "token_id": token_id, "is_mailed": True}
        sent_at, expires_at = now - timedelta(hours=1), now + timedelta(days=7)
        invitation = Invitation(
            **values, invited_by=inviter.id, sent_at=sent_at, expires_at=expires_at
        )
        db.add(invitation)
        await db.flush()
        self._rows["invitation_id"] = invitation.id

    async def _add_views(self, db: AsyncSession, *names: str) -> None:
        """A view of each user."""
        for name in names:
            values = {"list_name": "users", "name": "Inactive", "query": "is_active=false"}
            view = SavedView(user_id=self._ids[name], **values)
            db.add(view)
            await db.flush()
            self._rows[f"view of {name}@example.com"] = view.id

    async def _add_key(self, db: AsyncSession, name: str, permissions: list[str]) -> str:
        """A key of a user; the key itself."""
        made = new_api_key()
        self._rows["key_id"] = made.id
        db.add(
            ApiKey(
                id=made.id,
                user_id=self._ids[name],
                name="Robot",
                secret_hash=made.hash,
                permissions=permissions,
                expires_at=datetime.now(UTC) + timedelta(days=1),
            )
        )
        await db.flush()
        return made.text

    async def key(self, kind: str, row: Row, client: httpx.AsyncClient) -> Caller:
        """One of KEYS."""
        rows = dict(self._rows)
        permissions = [row.permission] if kind == "key" and row.permission else []
        async with self._runtime.session_maker() as db:
            key = await self._add_key(db, "root", permissions)
            await db.commit()
        email = "root@example.com"
        caller = Caller(self._ids["root"], email, key, NOBODY.refresh_token, uuid4(), rows=rows)
        if kind == "revoked key":
            await self._seen(client, caller)
            response = await client.post(f"{API}/api-keys/revocation", json={"key": key})
            assert response.status_code == 204
        return caller

    async def begin_delegated_session(self, kind: str, row: Row) -> Caller:
        """A session of one of DELEGATES."""
        granted = [name.value for name in Permission if name != row.permission]
        if kind == "permitted":
            granted = [name for name in (row.permission, *row.also) if name]
        async with self._runtime.session_maker() as db:
            role = Role(name="delegate", permissions=granted)
            db.add(role)
            await db.flush()
            db.add(UserRole(user_id=self._ids["eve"], role_id=role.id))
            await db.commit()
        return await self.begin_session("eve")

    async def begin_impersonation(self, kind: str) -> Caller:
        """A session of one of IMPERSONATORS."""
        everything = Row(SUPERUSER, permission=Permission.USERS_READ, also=tuple(Permission))
        user = await self.begin_delegated_session("permitted", everything)
        superuser, session_id = await self.begin_session("root"), uuid4()
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        actor = Actor(superuser.id, superuser.session_id, kind == "looking", expires_at)
        async with self._runtime.session_maker() as db:
            db.add(
                Session(
                    id=session_id,
                    user_id=user.id,
                    refresh_hash=REFRESH_TOKENS.read(user.refresh_token).hash,
                    expires_at=expires_at,
                    impersonator_id=superuser.id,
                    impersonator_session_id=superuser.session_id,
                )
            )
            await db.commit()
        sign = partial(self._runtime.tokens.sign_for, actor, user.id, session_id)
        return replace(user, access_token=sign(), page_token=sign("page"), session_id=session_id)

    async def begin_session(self, name: str, access_ttl: int = 900) -> Caller:
        session_id, user_id = uuid4(), self._ids[name]
        refresh_token = REFRESH_TOKENS.new(session_id)
        async with self._runtime.session_maker() as db:
            db.add(
                Session(
                    id=session_id,
                    user_id=user_id,
                    refresh_hash=REFRESH_TOKENS.read(refresh_token).hash,
                    expires_at=datetime.now(UTC) + timedelta(days=1),
                )
            )
            await db.commit()
        auth = self._runtime.settings.auth
        assert auth.secret_key is not None
        signer = TokenSigner(
            auth.secret_key.get_secret_value(), auth.model_copy(update={"access_ttl": access_ttl})
        )
        return Caller(
            user_id,
            f"{name}@example.com",
            signer.sign(user_id, session_id),
            refresh_token,
            session_id,
            signer.sign(user_id, session_id, "page") if access_ttl > 0 else "expired",
            self._rows,
        )

    async def caller(self, kind: str, client: httpx.AsyncClient) -> Caller:
        """One of CALLERS, whom the cache has known in better days."""
        if kind == "anonymous":
            return replace(NOBODY, rows=self._rows)
        names = {"owner": "ada", "another": "bob", "superuser": "root"}
        if kind == "expired":
            return await self.begin_session("once", access_ttl=-1)
        caller = await self.begin_session(names.get(kind, "once"))
        if kind == "logged out":
            await self._seen(client, caller)
            response = await client.post(f"{API}/auth/logout", headers=caller.headers)
            assert response.status_code == 204
        elif kind == "disabled":
            await self._seen(client, caller)
            root = await self.begin_session("root")
            response = await client.patch(
                f"{API}/users/{caller.id}", json={"is_active": False}, headers=root.headers
            )
            assert response.status_code == 200
        return caller

    @staticmethod
    async def _seen(client: httpx.AsyncClient, caller: Caller) -> None:
        response = await client.get(f"{API}/users/me", headers=caller.headers)
        assert response.status_code == 200


@pytest.fixture(scope="session")
async def hashed_password(app: FastAPI) -> str:
    hashed: str = await app.state.runtime.passwords.hash(PASSWORD)
    return hashed


@pytest.fixture
async def cast(client, runtime, hashed_password) -> Cast:
    cast = Cast(runtime, hashed_password)
    await cast.add_users()
    return cast


def operations(app: FastAPI) -> dict[str, tuple[str, str]]:
    """Method and path by operation id, from the OpenAPI document."""
    return {
        operation["operationId"]: (method.upper(), path)
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if path.startswith(API)
    }


def test_every_operation_has_a_row_and_every_row_an_operation(app):
    served, rows = set(operations(app)), set(MATRIX)

    assert not served - rows, (
        f"add a row for each of {sorted(served - rows)}: to MATRIX in {__name__}, or to RESOURCE "
        "in the tests of its resource"
    )
    assert not rows - served, f"remove the rows {sorted(rows - served)}: there is no such operation"


def pages(app: FastAPI) -> dict[str, tuple[str, str]]:
    """Method and path by name, of what is on the admin page."""
    return {
        route.name: (method, route.path)
        for route in iter_route_contexts(app.routes)
        if route.path and route.path.startswith(PLACES) and route.name in PAGES
        for method in route.methods or ()
    }


def visit(app: FastAPI, page: str, caller: Caller) -> dict[str, Any]:
    """A request by a browser in which `caller` is logged in, with the token its forms have."""
    forms, is_anonymous = app.state.runtime.forms, page in ANONYMOUS
    owner = "stranger" if is_anonymous else str(caller.session_id)
    cookies = {"form": owner, "session": None if is_anonymous else caller.page_token}
    sent = [f"__Host-backend_{name}={value}" for name, value in cookies.items() if value]
    method, path = pages(app)[page]
    headers = {"Cookie": "; ".join(sent), "X-CSRF-Token": forms.token(owner)}
    options = PAGES[page].sent_by(caller)
    return {
        "method": method,
        "url": path.format(
            user_id=1,
            job_id=1,
            mail_name="0-1",
            mail_kind="test-mail",
            transfer_id=TRANSFER,
            bulk_action_id=TRANSFER,
            passkey_id=1,
            role_id=ROLE,
            view_id=caller.rows.get(f"view of {caller.email}", 1),
            key_id=caller.rows["key_id"],
            invitation_id=1,
            session_id=UUID(int=1),
        ),
        "headers": headers,
        **options,
    }


def test_nothing_is_hidden_from_the_openapi_document_but_the_admin_page(app):
    mounted = {
        (method, route.path_format)
        for route in iter_route_contexts(app.routes)
        if (route.path or "").startswith(PLACES)
        for method in route.methods or ["any"]  # what is mounted or a websocket has none
    }

    unlisted = mounted - set(operations(app).values()) - set(pages(app).values())
    assert not unlisted, f"add a row to PAGES, by the route's name, for each of {sorted(unlisted)}"
    assert set(operations(app).values()) <= mounted
    assert set(pages(app)) == set(PAGES), "remove the rows of PAGES that no route has"


@pytest.mark.parametrize("kind", CALLERS)
@pytest.mark.parametrize("operation", MATRIX)
async def test_each_caller_gets_the_documented_status(app, client, cast, operation, kind):
    owner = await cast.begin_session("ada")
    caller = owner if kind == "owner" else await cast.caller(kind, client)
    method, path = operations(app)[operation]

    response = await client.request(
        method,
        path.format(**owner.named),
        headers=caller.headers,
        **MATRIX[operation].sent_by(caller),
    )

    status = "2xx" if response.is_success else str(response.status_code)
    assert status == MATRIX[operation].status_for(kind), response.text


@pytest.mark.parametrize("kind", DELEGATES)
@pytest.mark.parametrize("operation", MATRIX)
async def test_each_role_gets_what_its_permissions_allow(app, client, cast, operation, kind):
    owner, row = await cast.begin_session("ada"), MATRIX[operation]
    caller = await cast.begin_delegated_session(kind, row)
    method, path = operations(app)[operation]

    response = await client.request(
        method, path.format(**owner.named), headers=caller.headers, **row.sent_by(caller)
    )

    status = "2xx" if response.is_success else str(response.status_code)
    assert status == row.status_for(kind), response.text


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("operation", [name for name in MATRIX if name != "refresh"])
async def test_each_key_gets_what_its_permissions_allow(app, client, cast, operation, kind):
    owner, row = await cast.begin_session("ada"), MATRIX[operation]
    caller = await cast.key(kind, row, client)
    method, path = operations(app)[operation]

    response = await client.request(
        method, path.format(**owner.named), headers=caller.headers, **row.sent_by(caller)
    )

    status = "2xx" if response.is_success else str(response.status_code)
    assert status == row.status_for_key(kind), response.text


@pytest.mark.parametrize("kind", IMPERSONATORS)
@pytest.mark.parametrize("operation", [name for name in MATRIX if name != "refresh"])
async def test_an_impersonator_reads_and_changes_no_account(app, client, cast, operation, kind):
    owner, row = await cast.begin_session("ada"), MATRIX[operation]
    caller = await cast.begin_impersonation(kind)
    method, path = operations(app)[operation]

    response = await client.request(
        method, path.format(**owner.named), headers=caller.headers, **row.sent_by(caller)
    )

    status = "2xx" if response.is_success else str(response.status_code)
    assert status == row.status_for_impersonator(kind, method), response.text


def test_the_document_names_the_permission_of_each_operation(app):
    document = {
        operation["operationId"]: operation
        for path, item in app.openapi()["paths"].items()
        for operation in item.values()
        if path.startswith(API)
    }

    named = {name: document[name].get("x-permission") for name in MATRIX}
    assert named == {name: row.permission for name, row in MATRIX.items()}
    for name, permission in named.items():
        assert permission is None or f"`{permission}`" in document[name]["description"]


@pytest.mark.parametrize("kind", CALLERS)
async def test_head_has_the_permissions_of_get(app, client, cast, kind):
    """C32"""
    owner = await cast.begin_session("ada")
    caller = owner if kind == "owner" else await cast.caller(kind, client)
    read = {name: path for name, (method, path) in operations(app).items() if method == "GET"}
    for operation, path in read.items():
        response = await client.head(path.format(**owner.named), headers=caller.headers)

        status = "2xx" if response.is_success else str(response.status_code)
        assert status == MATRIX[operation].status_for(kind), operation
        assert response.content == b""


@pytest.mark.parametrize("kind", CALLERS)
@pytest.mark.parametrize("page", PAGES)
async def test_each_caller_gets_the_documented_status_of_the_pages(app, client, cast, page, kind):
    caller = await cast.caller(kind, client)

    response = await client.request(**visit(app, page, caller))

    is_login = response.status_code == 200 and f'action="{API}/dashboard/login"' in response.text
    status = "2xx" if response.is_success else str(response.status_code)
    assert ("login" if is_login else status) == PAGES[page].status_for(kind), response.text
    has_own_type = status == "2xx" and not is_login
    content_type = TYPES.get(page, HTML) if has_own_type else HTML
    assert status == "303" or response.headers["Content-Type"] == content_type


@pytest.mark.parametrize("kind", DELEGATES)
@pytest.mark.parametrize("page", PAGES)
async def test_each_role_sees_the_pages_that_its_permissions_allow(app, client, cast, page, kind):
    row = PAGES[page]
    caller = await cast.begin_delegated_session(kind, row)

    response = await client.request(**visit(app, page, caller))

    is_permitted = kind == "permitted" and row.permission is not None
    follows = row.status_for("superuser") if is_permitted else "403"
    is_login = response.status_code == 200 and f'action="{API}/dashboard/login"' in response.text
    status = "login" if is_login else "2xx" if response.is_success else str(response.status_code)
    assert status == (row.status_for(kind) if row.delegates else follows), response.text


@pytest.mark.parametrize("kind", IMPERSONATORS)
@pytest.mark.parametrize("page", [name for name in PAGES if name not in ANONYMOUS])
async def test_an_impersonator_reads_the_pages_and_sends_no_form(app, client, cast, page, kind):
    caller = await cast.begin_impersonation(kind)
    request = visit(app, page, caller)
    request["headers"]["Cookie"] = request["headers"]["Cookie"].replace(
        "backend_session", "backend_impersonation"
    )

    response = await client.request(**request)

    status = "2xx" if response.is_success else str(response.status_code)
    expected = PAGES[page].status_for_impersonator(kind, request["method"])
    assert status == expected.replace("login", "2xx"), response.text
    assert (status == "303") == (page == "account_end_impersonation")

"""Every view of the admin and account pages, and the data without which some would be empty."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import text

from app.models.access.passkey import Passkey
from app.models.background.bulk_action import BulkAction, BulkActionUser
from app.models.background.transfer import Transfer
from app.models.saved_view import SavedView
from app.runtime import Runtime
from app.services.bulk_actions.run import OWN_ACCOUNT
from tests.conftest import Person
from tests.integration.test_api_keys import body
from tests.integration.test_invitations import invite
from tests.integration.test_jobs_page import EVERY_STATE
from tests.integration.test_roles import give, new_role

DASHBOARD, ACCOUNT = "/api/v1/dashboard", "/account"
USERS = f"{DASHBOARD}/users"
USER = f"{USERS}/{{user}}"
TRANSFER = UUID("00000000-0000-4000-8000-000000000001")

VIEWS = {
    "dashboard_overview": DASHBOARD,
    "dashboard_users": f"{USERS}?is_active=true&created_within=30d",
    "dashboard_new_user": f"{USERS}/new",
    "dashboard_confirm_change": f"{USERS}/confirm?action=deactivate&id={{user}}&id=7",
    "dashboard_upload": f"{USERS}/upload",
    "dashboard_user": USER,
    "dashboard_edit_user": f"{USER}/edit",
    "dashboard_user_sessions": f"{USER}/sessions",
    "dashboard_user_keys": f"{USER}/keys",
    "dashboard_confirm_user_key_revocation": f"{USER}/keys/{{users_key}}/revoke",
    "dashboard_user_history": f"{USER}/history",
    "dashboard_user_json": f"{USER}/json",
    "dashboard_user_roles": f"{USER}/roles",
    "dashboard_impersonation": f"{USER}/impersonation",
    "dashboard_new_view": f"{USERS}/views/new?is_active=false",
    "dashboard_view": f"{USERS}/views/{{view}}",
    "dashboard_invitations": f"{DASHBOARD}/invitations",
    "dashboard_new_invitation": f"{DASHBOARD}/invitations/new",
    "dashboard_bulk_actions": f"{DASHBOARD}/bulk-actions",
    "dashboard_confirm_bulk_action": (
        f"{DASHBOARD}/bulk-actions/new?action=deactivate&query=search%3Da"
    ),
    "dashboard_bulk_action": f"{DASHBOARD}/bulk-actions/{TRANSFER}",
    "dashboard_transfers": f"{DASHBOARD}/transfers",
    "dashboard_transfer": f"{DASHBOARD}/transfers/{TRANSFER}",
    "dashboard_roles": f"{DASHBOARD}/roles",
    "dashboard_new_role": f"{DASHBOARD}/roles/new",
    "dashboard_edit_role": f"{DASHBOARD}/roles/{{role}}",
    "dashboard_confirm_role_deletion": f"{DASHBOARD}/roles/{{role}}/delete",
    "dashboard_jobs": f"{DASHBOARD}/jobs",
    "dashboard_confirm_job_change": f"{DASHBOARD}/jobs/confirm?action=cancel&id=2",
    "dashboard_job": f"{DASHBOARD}/jobs/2",
    "dashboard_mail": f"{DASHBOARD}/mail",
    "dashboard_audit": f"{DASHBOARD}/audit",
    "dashboard_requests": f"{DASHBOARD}/requests",
    "dashboard_settings": f"{DASHBOARD}/settings",
    "account": ACCOUNT,
    "account_profile": f"{ACCOUNT}/profile",
    "account_password": f"{ACCOUNT}/password",
    "account_email": f"{ACCOUNT}/email",
    "account_keys": f"{ACCOUNT}/keys",
    "account_confirm_key_revocation": f"{ACCOUNT}/keys/{{key}}/revoke",
    "account_security": f"{ACCOUNT}/security",
    "account_totp": f"{ACCOUNT}/security/totp",
    "account_passkey": f"{ACCOUNT}/security/passkeys/{{passkey}}/rename",
    "account_confirmation": f"{ACCOUNT}/confirm",
    "account_deletion": f"{ACCOUNT}/deletion",
}
"""Views of a user who is logged in: address by the name of the route, with places for ids."""
PUBLIC_VIEWS = {
    "account_login": f"{ACCOUNT}/login",
    "account_password_recovery": f"{ACCOUNT}/password-recovery",
    "account_password_reset": f"{ACCOUNT}/password-reset?token=x",
    "account_email_verification": f"{ACCOUNT}/email-verification?token=x",
    "account_email_change": f"{ACCOUNT}/email-change?token=x",
    "account_email_change_undo": f"{ACCOUNT}/email-change-undo?token=x",
    "account_deletion_undo": f"{ACCOUNT}/deletion-undo?token=x",
    "account_invitation": f"{ACCOUNT}/invitation?token=x",
}
"""Those of anyone."""
MAIL_VIEWS = {
    "dashboard_mail_preview": f"{DASHBOARD}/mail/preview/test-mail",
    "dashboard_caught_mail": f"{DASHBOARD}/mail/caught/{{mail}}",
}
"""Those that production does not have; their tests are in `test_mail`."""
NO_VIEWS = {
    "root",
    "dashboard_live",
    "dashboard_palette",
    "dashboard_users_export",
    "dashboard_transfer_file",
    "dashboard_audit_export",
    "dashboard_caught_mail_html",
    "dashboard_mail_preview_html",
    "account_export",
}
"""Routes that answer a GET with a redirect, a part of a view, or a file."""


async def fill(runtime: Runtime, root: Person) -> dict[str, str]:
    """Add a role, keys, an invitation, a passkey, a view, a transfer and jobs.

    Args:
        runtime: of a service with at least seven users.
        root: a superuser, logged in, whose client's URL is the server's.

    Returns:
        Each address by the name of its route, public ones included.
    """
    user = await _newest_user(runtime, root)
    await new_role(root, "reviewer", "audit:read", "stats:read", "metrics:read")
    role = await give(root, Person(root.client, user, ""), "users:read", "users:invite")
    keys = []
    for path in "/api-keys", f"/users/{user}/api-keys":
        answer = await root.post(path, json=body("users:read", name="nightly export"))
        keys.append(answer.raise_for_status().json()["id"])
    for email in "ada@invited.example", "a.long.name.of.a.person@a-long-name-of-a-domain.example":
        await invite(root, email, roles=["reviewer"])
    (await root.post("/users/me/mfa/totp")).raise_for_status()
    passkey = Passkey(
        user_id=root.id,
        credential_id=b"id",
        public_key=b"key",
        sign_count=1,
        name="laptop",
        aaguid=uuid4(),
        is_backup_eligible=False,
        is_backed_up=False,
    )
    view = SavedView(
        user_id=root.id, list_name="users", name="Inactive users", query="is_active=false"
    )
    transfer = Transfer(
        id=TRANSFER,
        kind="import",
        user_id=root.id,
        job_id=1,
        name="users of a department.csv",
        run=1,
        done=118,
        total=120,
        outcome="failed",
        reason="Row 119: this email is already taken",
        ended_at=datetime.now(UTC),
    )
    bulk_action = BulkAction(
        id=TRANSFER,
        user_id=root.id,
        session_id=uuid4(),
        job_id=1,
        action="deactivate",
        done=120,
        changed=119,
        refused=1,
        total=120,
        outcome="done",
        ended_at=datetime.now(UTC),
    )
    refused = BulkActionUser(bulk_action_id=TRANSFER, user_id=user, refusal=OWN_ACCOUNT)
    async with runtime.session_maker() as db:
        db.add_all([passkey, view, transfer, bulk_action])
        await db.flush()
        db.add(refused)
        await db.execute(text("TRUNCATE pgqueuer, pgqueuer_log RESTART IDENTITY"))
        for statement in EVERY_STATE:
            await db.execute(text(statement))
        await db.execute(text("SELECT setval(pg_get_serial_sequence('pgqueuer', 'id'), 100)"))
        await db.commit()
        ids = {"passkey": passkey.id, "view": view.id}
    ids |= {"user": user, "role": role["id"], "key": keys[0], "users_key": keys[1]}
    return {name: path.format(**ids) for name, path in (VIEWS | PUBLIC_VIEWS).items()}


async def _newest_user(runtime: Runtime, root: Person) -> int:
    """The id of one who is active and no superuser."""
    found = await root.get("/users", params={"is_active": True, "is_superuser": False, "size": 1})
    user: int = found.raise_for_status().json()["items"][0]["id"]
    return user

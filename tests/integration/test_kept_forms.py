"""What becomes of a form that cannot be saved: each of the pages is listed here.

A new form needs a row in FORMS, and a new route that takes one needs a row in ROUTES.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from app.admin import rendering
from app.admin.typed import SECRETS, keep_typed
from tests.integration.test_typed_forms import FORMS as TRIED

KEPT = "kept: comes back after a login, and can be sent again after an outage"
OWN = "shown again by itself, with its fields, to who is not logged in"
SECRET = "only secrets are typed"
NOTHING = "nothing is typed"
CHOICE = "a choice of few, which is made again by as many clicks"
FILE = "a file, which the browser alone can choose"
SCRIPT = "no form: a script asks"
ROUTES = {
    "dashboard_login": OWN,
    "dashboard_login_mfa": SECRET,
    "dashboard_login_passkey": SECRET,
    "dashboard_logout": NOTHING,
    "dashboard_take_upload": FILE,
    "dashboard_display_users": CHOICE,
    "dashboard_save_view": KEPT,
    "dashboard_rename_view": KEPT,
    "dashboard_delete_view": NOTHING,
    "dashboard_create_user": KEPT,
    "dashboard_change_users": NOTHING,
    "dashboard_update_user": KEPT,
    "dashboard_send_password_reset": NOTHING,
    "dashboard_end_user_session": NOTHING,
    "dashboard_impersonate": KEPT,
    "account_end_impersonation": NOTHING,
    "dashboard_send_invitation": KEPT,
    "dashboard_resend_invitation": NOTHING,
    "dashboard_revoke_invitation": NOTHING,
    "dashboard_begin_export": NOTHING,
    "dashboard_cancel_transfer": NOTHING,
    "dashboard_begin_bulk_action": NOTHING,
    "dashboard_stop_bulk_action": NOTHING,
    "dashboard_undo_bulk_action": NOTHING,
    "dashboard_create_role": KEPT,
    "dashboard_update_role": KEPT,
    "dashboard_delete_role": NOTHING,
    "dashboard_set_user_roles": KEPT,
    "dashboard_create_user_key": KEPT,
    "dashboard_revoke_user_key": NOTHING,
    "dashboard_change_jobs": NOTHING,
    "account_change_profile": KEPT,
    "account_change_password": SECRET,
    "account_send_verification": NOTHING,
    "account_end_session": NOTHING,
    "account_end_other_sessions": NOTHING,
    "account_delete": SECRET,
    "account_request_email_change": KEPT,
    "account_create_key": KEPT,
    "account_revoke_key": NOTHING,
    "account_request_password_recovery": OWN,
    "account_begin_totp": NOTHING,
    "account_confirm_totp": SECRET,
    "account_remove_totp": NOTHING,
    "account_recovery_codes": NOTHING,
    "account_confirm": SECRET,
    "account_confirm_by_passkey": SECRET,
    "account_passkey_options": SCRIPT,
    "account_choose_language": CHOICE,
    "account_choose_language_before_login": CHOICE,
    "account_register_passkey": KEPT,
    "account_rename_passkey": KEPT,
    "account_remove_passkey": NOTHING,
    "account_verify_email": SECRET,
    "account_confirm_email_change": SECRET,
    "account_undo_email_change": SECRET,
    "account_undo_deletion": SECRET,
    "account_reset_password": SECRET,
    "account_accept_invitation": OWN,
}
FORMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("access/confirm.html", "place"): (
        *("dashboard_revoke_user_key", "account_revoke_key", "dashboard_delete_role"),
    ),
    ("access/keys.html", "pages.path"): ("dashboard_create_user_key", "account_create_key"),
    ("access/role.html", "roles"): ("dashboard_create_role", "dashboard_update_role"),
    ("access/user_roles.html", "roles"): ("dashboard_set_user_roles",),
    ("account/account.html", "sessions end"): ("account_end_session",),
    ("account/account.html", "sessions end-others"): ("account_end_other_sessions",),
    ("account/account.html", "email-verification send"): ("account_send_verification",),
    ("account/link.html", "page.path"): (
        *("account_verify_email", "account_confirm_email_change", "account_undo_email_change"),
        *("account_undo_deletion", "account_reset_password", "account_accept_invitation"),
        "account_request_password_recovery",
    ),
    ("account/sheet.html", "path"): (
        *("account_change_profile", "account_change_password", "account_request_email_change"),
        *("account_delete", "account_rename_passkey"),
    ),
    ("bulk_actions/bulk_action.html", "stop"): ("dashboard_stop_bulk_action",),
    ("bulk_actions/bulk_action.html", "undo"): ("dashboard_undo_bulk_action",),
    ("bulk_actions/confirm.html", "bulk-actions"): ("dashboard_begin_bulk_action",),
    ("forms.html", "typed.action"): (),  # what was typed into another form
    ("forms.html", "users confirm"): ("dashboard_change_users",),
    ("invitations/form.html", "invitations new"): ("dashboard_send_invitation",),
    ("invitations/table.html", "invitations"): (
        *("dashboard_resend_invitation", "dashboard_revoke_invitation"),
    ),
    ("jobs/confirm.html", "jobs confirm"): ("dashboard_change_jobs",),
    ("language.html", "action"): (
        *("account_choose_language", "account_choose_language_before_login"),
    ),
    ("login.html", "login"): ("dashboard_login",),
    ("login_second_step.html", "login mfa"): ("dashboard_login_mfa",),
    ("page.html", "impersonation end"): ("account_end_impersonation",),
    ("page.html", "logout"): ("dashboard_logout",),
    ("passkeys.html", "action"): (
        *("dashboard_login_passkey", "account_confirm_by_passkey", "account_register_passkey"),
    ),
    ("security/confirm.html", "confirm"): ("account_confirm",),
    ("security/security.html", "security passkeys remove"): ("account_remove_passkey",),
    ("security/security.html", "security totp remove"): ("account_remove_totp",),
    ("security/security.html", "security totp"): ("account_begin_totp",),
    ("security/security.html", "security recovery-codes"): ("account_recovery_codes",),
    ("security/totp.html", "security totp confirmation"): ("account_confirm_totp",),
    ("transfers/transfer.html", "transfers cancel"): ("dashboard_cancel_transfer",),
    ("users/columns.html", "users display"): ("dashboard_display_users",),
    ("users/confirm.html", "users confirm"): ("dashboard_change_users",),
    ("users/form.html", "edit"): ("dashboard_create_user", "dashboard_update_user"),
    ("users/impersonation.html", "impersonation"): ("dashboard_impersonate",),
    ("users/saved_view.html", "path"): ("dashboard_save_view", "dashboard_rename_view"),
    ("users/saved_view.html", "users views delete"): ("dashboard_delete_view",),
    ("users/sessions.html", "sessions"): ("dashboard_end_user_session",),
    ("users/table.html", "transfers export"): ("dashboard_begin_export",),
    ("users/upload.html", "users upload"): ("dashboard_take_upload",),
    ("users/user.html", "password-reset"): ("dashboard_send_password_reset",),
}
"""The routes that take the forms of a template, by its name and the words of the form's action."""
PASSKEYS = {"account_register_passkey", "account_rename_passkey"}
"""Tried by tests of their own."""
UNTYPED = {"action", "back", "id", "matching", "next", "query", "sealed", "typed"}
"""Fields that our pages fill in."""


def forms() -> Iterator[tuple[str, str]]:
    folder = Path(rendering.__file__).parent / "templates"
    for template in sorted(folder.rglob("*.html")):
        for form in re.findall(r"<form\b[^\n]*", template.read_text(encoding="utf-8")):
            if 'method="post"' in form:
                yield template.relative_to(folder).as_posix(), words_of(form)


def words_of(form: str) -> str:
    """The fixed words of a form's action, or the expression that it is."""
    found = re.search(r'action="((?:\{\{.*?\}\}|[^"])*)"', form)
    assert found is not None, form
    if simple := re.fullmatch(r"\{\{ ([\w.]+) \}\}", found[1]):
        return simple[1]
    placed = re.search(r'place\.url\("/([\w/-]+)', found[1])
    fixed = placed[1] if placed else re.sub(r"\{\{.*?\}\}", "", found[1])
    return " ".join(part for part in fixed.split("/") if part)


def routes(app: FastAPI) -> dict[str, Any]:
    """The dependencies of each route of the pages that takes a form, by its name."""
    return {
        str(route.name): route.dependant
        for route in iter_route_contexts(app.routes)
        if "POST" in (route.methods or ()) and (route.path or "").startswith(PLACES)
    }


PLACES = (rendering.BASE, rendering.ACCOUNT)


def fields(dependant: Any) -> dict[str, Any]:
    """The types of a form's fields by name."""
    return {
        name: field.annotation
        for body in dependant.body_params
        for name, field in body.field_info.annotation.model_fields.items()
    }


def test_each_form_is_listed():
    assert sorted(forms()) == sorted(FORMS)


def test_each_route_of_a_form_is_listed(app):
    of_forms = {name for names in FORMS.values() for name in names}

    assert set(routes(app)) == set(ROUTES)
    assert of_forms == {name for name, way in ROUTES.items() if way != SCRIPT}


def test_what_is_typed_is_kept_where_the_list_says_so(app):
    kept = {
        name
        for name, dependant in routes(app).items()
        if any(one.call is keep_typed for one in dependant.dependencies)
    }

    assert kept == {name for name, way in ROUTES.items() if way == KEPT}
    assert {name for name, _, _ in TRIED.values()} | PASSKEYS == kept


def test_no_text_is_typed_into_the_others(app):
    for name, dependant in routes(app).items():
        if ROUTES[name] in {NOTHING, SECRET}:
            assert set(fields(dependant)) - SECRETS <= UNTYPED, name


def test_no_secret_is_kept(app):
    secrets = {
        field
        for dependant in routes(app).values()
        for field, kind in fields(dependant).items()
        if kind is SecretStr or "credential" in field
    }

    assert secrets <= SECRETS
    assert {"password", "new_password", "code", "token"} <= secrets

"""Adds the admin pages to an application."""

from fastapi import FastAPI

from app.admin.account import (
    email,
    keys,
    language,
    links,
    own,
    own_data,
    passkeys,
    recovery,
    security,
)
from app.admin.assets import assets
from app.admin.errors.handler import handle_admin_exception
from app.admin.routes import overview, palette, roles, root
from app.admin.routes.operations import audit, jobs, mail, requests, settings
from app.admin.routes.users import (
    api_keys,
    bulk_actions,
    display,
    impersonation,
    invitations,
    saved_views,
    transfers,
    upload,
    user,
    users,
)
from app.core.exceptions import AppException


def include_admin(app: FastAPI) -> None:
    """Add the routes of the pages, their static files, and errors as pages.

    Call it after the API's routers: `/api/v1/dashboard/stats` is the API's.
    """
    tables = saved_views, users, display, invitations, transfers
    details = user, impersonation, roles, api_keys
    operations = requests, settings, jobs, audit, mail, bulk_actions
    account = own, own_data, email, keys, recovery, security, passkeys, links, language
    for module in (root, overview, palette, upload, *tables, *details, *operations, *account):
        app.include_router(module.router)
    app.include_router(assets.router)
    app.add_exception_handler(AppException, handle_admin_exception)

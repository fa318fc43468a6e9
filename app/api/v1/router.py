"""Router of version 1 of the API, with the routers of all endpoints."""

from app.api.routing import Router
from app.api.v1.endpoints import (
    account,
    api_keys,
    audit,
    auth,
    dashboard,
    impersonation,
    invitations,
    metrics,
    mfa,
    own_data,
    passkeys,
    roles,
    users,
)

PREFIX = "/api/v1"
ROUTERS: tuple[Router, ...] = (
    dashboard.router,
    users.router,
    impersonation.router,
    auth.router,
    account.router,
    mfa.router,
    invitations.router,
    roles.router,
    own_data.router,
    passkeys.router,
    api_keys.router,
    metrics.router,
    audit.router,
)
"""Included one by one: a router around them would be searched again for each request."""

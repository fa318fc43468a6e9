"""Version 1 of the API."""

from fastapi import APIRouter

from app.api.v1.endpoints import auth, dashboard, dashboard_page, dashboard_users, metrics, users

PREFIX = "/api/v1"
ROUTERS: tuple[APIRouter, ...] = (
    dashboard.router,
    users.router,
    auth.router,
    metrics.router,
    dashboard_page.router,
    dashboard_users.router,
)
"""Included one by one: a router around them would be searched again for each request."""

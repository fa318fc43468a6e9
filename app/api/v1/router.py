"""Version 1 of the API."""

from fastapi import APIRouter

from app.api.v1.endpoints import auth, dashboard, metrics, users

PREFIX = "/api/v1"
ROUTERS: tuple[APIRouter, ...] = (
    dashboard.router,
    users.router,
    auth.router,
    metrics.router,
)
"""Included one by one: a router around them would be searched again for each request."""

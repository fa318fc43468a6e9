"""The floor under every throughput: FastAPI with routes that return a dict, and nothing else."""

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI

app = FastAPI()
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat()
STATS = {
    "total_users": 100_000,
    "active_users": 90_000,
    "inactive_users": 10_000,
    "superusers": 500,
    "new_users_today": 300,
    "new_users_week": 2_000,
    "timestamp": MOMENT,
}
USER = {
    "id": 1,
    "email": "admin@example.com",
    "username": "admin",
    "full_name": None,
    "is_active": True,
    "is_superuser": True,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}


@app.get("/stats")
async def stats() -> Any:
    return STATS


@app.get("/me")
async def me() -> Any:
    return USER

"""Schemas of the health endpoints."""

from typing import Literal

from pydantic import Field

from app.schemas.base import ResponseSchema


class CheckSchema(ResponseSchema):
    """State of one dependency."""

    status: Literal["healthy", "unhealthy"]
    latency_ms: float = Field(
        description="milliseconds until the answer or the timeout", examples=[1.3]
    )
    error: str | None = Field(None, description="short reason", examples=["timeout"])
    provider: str | None = Field(
        None, description="DATABASE_PROVIDER in effect", examples=["postgresql"]
    )
    backend: Literal["redis", "memory"] | None = Field(
        None, description="memory: stored in each process, without Redis"
    )


class HealthSchema(ResponseSchema):
    """State of the service and its dependencies. `degraded`: it serves, more slowly. `stopping`,
    only in /health/ready: it serves for a few more seconds."""

    status: Literal["healthy", "degraded", "unhealthy", "stopping"]
    app_name: str = Field(examples=["Backend API"])
    version: str = Field(examples=["1.0.0"])
    checks: dict[str, CheckSchema]


class LiveSchema(ResponseSchema):
    status: Literal["alive"] = "alive"

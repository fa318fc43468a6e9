"""Health on the wire."""

from typing import Literal

from pydantic import Field

from app.schemas.base import ResponseSchema


class CheckSchema(ResponseSchema):
    """One dependency."""

    status: Literal["healthy", "unhealthy"]
    latency_ms: float = Field(
        description="milliseconds until it answered or was given up", examples=[1.3]
    )
    error: str | None = Field(None, description="a short reason", examples=["timeout"])
    provider: str | None = Field(None, description="of the database", examples=["postgresql"])
    backend: Literal["redis", "memory"] | None = Field(
        None, description="memory: kept in each process, since no Redis is there"
    )


class HealthSchema(ResponseSchema):
    """All of it; `degraded` means that it serves, more slowly, and `stopping`, which only
    readiness tells, that it serves for some seconds more."""

    status: Literal["healthy", "degraded", "unhealthy", "stopping"]
    app_name: str = Field(examples=["Backend API"])
    version: str = Field(examples=["1.0.0"])
    checks: dict[str, CheckSchema]


class LiveSchema(ResponseSchema):
    status: Literal["alive"] = "alive"

"""Figures on the wire."""

from pydantic import Field

from app.schemas.base import ResponseSchema


class DatabaseMetricsSchema(ResponseSchema):
    """The connection pool of the process that answers, at this moment."""

    pool_size: int = Field(ge=0, description="connections that are kept open at most", examples=[5])
    checked_in: int = Field(ge=0, description="open and idle", examples=[3])
    checked_out: int = Field(ge=0, description="in use", examples=[2])
    overflow: int = Field(ge=0, description="beyond pool_size", examples=[0])
    total_connections: int = Field(ge=0, description="checked_in + checked_out", examples=[5])

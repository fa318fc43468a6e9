"""What goes on inside, in figures."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import pool_usage
from app.schemas import DatabaseMetricsSchema


class MetricsService:
    """Figures of this process and of its siblings.

    Args:
        engine: the one that requests use.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def database(self) -> DatabaseMetricsSchema:
        """This process's connections at this moment; takes none of them."""
        return DatabaseMetricsSchema.model_validate(pool_usage(self._engine))

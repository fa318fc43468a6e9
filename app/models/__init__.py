"""SQLAlchemy models. All modules of this package are imported, so that Alembic finds the tables."""

from importlib import import_module
from pkgutil import iter_modules

from app.models.idempotency import IdempotentResponse
from app.models.session import Session
from app.models.user import SEARCHED_TEXT, User

__all__ = ["SEARCHED_TEXT", "IdempotentResponse", "Session", "User"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

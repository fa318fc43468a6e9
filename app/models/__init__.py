"""SQLAlchemy models. All modules of this package are imported, so that Alembic finds the tables."""

from importlib import import_module
from pkgutil import walk_packages

from app.models.access.session import Session
from app.models.idempotency import IdempotentResponse
from app.models.user import SEARCHED_TEXT, User

__all__ = ["SEARCHED_TEXT", "IdempotentResponse", "Session", "User"]

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)

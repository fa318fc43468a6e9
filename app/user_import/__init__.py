"""Bringing users along from a file: `backend import-users`."""

from app.services.user_files import UserFileError, count_lines
from app.user_import.command import import_file
from app.user_import.work import Outcome, import_users

__all__ = ["Outcome", "UserFileError", "count_lines", "import_file", "import_users"]

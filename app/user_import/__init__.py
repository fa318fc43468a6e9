"""Import of users from a file: `backend import-users`."""

from app.services.user.files import UserFile, UserFileError
from app.user_import.command import import_file
from app.user_import.work import ImportResult, import_users

__all__ = ["ImportResult", "UserFile", "UserFileError", "import_file", "import_users"]

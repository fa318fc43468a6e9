"""Import of users from a file: `backend import-users`."""

from app.services.user.file_parser import UserFile, UserFileError
from app.user_import.batches import ImportResult, import_users
from app.user_import.command import import_file

__all__ = ["ImportResult", "UserFile", "UserFileError", "import_file", "import_users"]

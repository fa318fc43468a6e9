"""Import of users from a file: `backend import-users`."""

"""Fails where two migrations follow the same one."""

import sys

from app.database.schema_state import MigrationsError, head_revision


def main() -> int:
    try:
        head_revision()
    except MigrationsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

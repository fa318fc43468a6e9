"""Migration operations for PostgreSQL extensions, which some roles may not create, and which some
providers install in a separate schema."""

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from alembic import op
from app.database.errors import sqlstate

log = structlog.get_logger("app.migrations")

_REFUSALS = ("42501", "0A000", "58P01")  # not allowed, not installed on the server
_MARK = "created by a migration of backend-api"
_SCHEMA = text(
    "SELECT quote_ident(nspname) FROM pg_extension"
    " JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = :name"
)
_EXTENSIONS_SCHEMA = text(
    "SELECT 'SCHEMA ' || nspname FROM pg_namespace WHERE nspname = 'extensions'"
)
# For `alembic upgrade --sql`: the script is written without a server.
_CREATE_LATER = """DO $$
DECLARE shelf text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = '{name}') THEN
        SELECT 'SCHEMA extensions' INTO shelf FROM pg_namespace WHERE nspname = 'extensions';
        EXECUTE 'CREATE EXTENSION {name} ' || coalesce(shelf, '');
        COMMENT ON EXTENSION {name} IS '{mark}';
    END IF;
END $$"""
_FIND_LATER = """
    SELECT set_config(
        'search_path', current_setting('search_path') || ', ' || quote_ident(nspname), false
    ) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = '{name}'"""
_DROP_LATER = """DO $$
BEGIN
    IF (SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = '{name}')
        = '{mark}'
    THEN
        DROP EXTENSION {name};
    END IF;
END $$"""
_IS_OURS = text(
    "SELECT obj_description(oid, 'pg_extension') = :mark FROM pg_extension WHERE extname = :name"
)


def create_extension(name: str) -> bool:
    """Migration operation: create an extension if it is missing, and add its schema to the search
    path of the migration.

    A new one is created in the schema `extensions` if that exists: Supabase keeps them there.

    Returns:
        Whether the extension exists. If not, the reason is logged and the migration goes on
        without it; a SQL script fails instead.
    """
    if op.get_context().as_sql:
        op.execute(_CREATE_LATER.format(name=name, mark=_MARK))
        op.execute(_FIND_LATER.format(name=name))
        return True
    connection = op.get_bind()
    schema = connection.scalar(_SCHEMA, {"name": name})
    if schema is None:
        try:
            with connection.begin_nested():
                _create(connection, name)
        except DBAPIError as error:
            if sqlstate(error) not in _REFUSALS:
                raise
            log.warning("extension_missing", extension=name, reason=str(error.orig))
            return False
        schema = connection.scalar(_SCHEMA, {"name": name})
    path = connection.scalar(text("SHOW search_path"))
    connection.execute(text(f"SET search_path = {path}, {schema}"))
    return True


def _create(connection: Connection, name: str) -> None:
    shelf = connection.scalar(_EXTENSIONS_SCHEMA) or ""
    connection.execute(text(f"CREATE EXTENSION {name} {shelf}"))
    connection.execute(text(f"COMMENT ON EXTENSION {name} IS '{_MARK}'"))


def drop_extension(name: str) -> None:
    """Migration operation: drop an extension, if a migration created it."""
    if op.get_context().as_sql:
        op.execute(_DROP_LATER.format(name=name, mark=_MARK))
    elif op.get_bind().scalar(_IS_OURS, {"name": name, "mark": _MARK}):
        op.execute(f"DROP EXTENSION {name}")

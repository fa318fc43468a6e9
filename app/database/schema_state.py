"""State of the schema: the revision of the database, compared with those in the code.

Without Alembic, which a process that serves needs for nothing else, and which takes 6 MiB.
"""

import ast
import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import ROOT

VERSIONS = ROOT / "alembic" / "versions"
_IS_MIGRATED = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_REVISIONS = text("SELECT version_num FROM alembic_version ORDER BY 1")


class MigrationsError(RuntimeError):
    """The migration is not possible; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision of the database compared with that of the code.

    Attributes:
        at: of the database; None if it was never migrated.
        newest: of the code.
        state: `newer`: migrated by a later release; `unknown`: by another history.
    """

    at: str | None
    newest: str
    state: Literal["current", "behind", "newer", "unknown"]

    @property
    def serves(self) -> bool:
        """Whether this release works with the schema: migrations add before they remove."""
        return self.state in {"current", "newer"}

    def __str__(self) -> str:
        if self.state == "newer":
            return f"the schema is newer ({self.at}) than this release ({self.newest})"
        if self.state == "unknown":
            return f"the schema is at {self.at}, which is no revision of this release"
        return f"at {self.at or 'nothing'}, newest is {self.newest}"


def revisions(folder: Path = VERSIONS) -> dict[str, frozenset[str]]:
    """The revisions in the code, each with those that it follows.

    Raises:
        MigrationsError: there is none; two scripts have the same; one follows what is not there;
            or a script does not assign literals to `revision` and `down_revision`.
    """
    names: dict[str, str] = {}
    known: dict[str, frozenset[str]] = {}
    for script in sorted(folder.glob("*.py")):
        if script.name.startswith((".#", "__init__")):  # Alembic reads neither
            continue
        revision, followed = _revision_in(script)
        if revision in known:
            raise MigrationsError(
                f"{names[revision]} and {script.name} have the same revision {revision}: give one "
                "of them another, and let it follow the other"
            )
        names[revision], known[revision] = script.name, followed
    if not known:
        raise MigrationsError(f"no migrations in {folder}: is it there, and readable?")
    for revision, followed in known.items():
        if missing := followed - known.keys():
            missed = ", ".join(sorted(missing))
            raise MigrationsError(f"{names[revision]} follows {missed}, which no script has")
    return known


def head_revision(folder: Path = VERSIONS) -> str:
    """The newest revision in the code.

    Raises:
        MigrationsError: there are several heads, or see `revisions`.
    """
    return _head_of(revisions(folder))


def compare_schema(at: str | None) -> SchemaState:
    """Compare the database's revision, `at`, with the newest of the code.

    Raises:
        MigrationsError: see `head_revision`.
    """
    known = revisions()
    newest = _head_of(known)
    if at == newest:
        return SchemaState(at, newest, "current")
    if at is None or at in known:
        return SchemaState(at, newest, "behind")
    is_newer = at.isdecimal() and newest.isdecimal() and int(at) > int(newest)
    return SchemaState(at, newest, "newer" if is_newer else "unknown")


async def schema_of(engine: AsyncEngine) -> SchemaState:
    """The state of the database's schema.

    Raises:
        MigrationsError: see `head_revision`.
    """
    at = await current_revision(engine)
    return await asyncio.to_thread(compare_schema, at)  # reads all scripts, which takes a while


async def current_revision(engine: AsyncEngine) -> str | None:
    """The revision of the database; None if it was never migrated."""
    async with engine.connect() as connection:
        return await connection.run_sync(revision_of)


def revision_of(connection: Connection) -> str | None:
    """See `current_revision`."""
    if not connection.scalar(_IS_MIGRATED):
        return None
    return ", ".join(connection.scalars(_REVISIONS)) or None


def encoding_fault(connection: Connection) -> str | None:
    """Message that refuses the database's encoding and says what to do; None for UTF-8.

    Other encodings store only part of the world's names; with SQL_ASCII, case and length of text
    would be wrong.
    """
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding == "UTF8":
        return None
    return (
        f"the database's encoding is {encoding}, and must be UTF8: create another by "
        "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and restore a dump into it"
    )


def require_utf8(connection: Connection) -> None:
    """Check the database's encoding.

    Raises:
        MigrationsError: it is not UTF-8.
    """
    if fault := encoding_fault(connection):
        raise MigrationsError(fault)


def _head_of(known: Mapping[str, frozenset[str]]) -> str:
    heads = sorted(known.keys() - frozenset().union(*known.values()))
    if not heads:
        raise MigrationsError("each migration is followed by another: they go round in a circle")
    if len(heads) > 1:
        raise MigrationsError(
            f"multiple heads: {', '.join(heads)}. Two migrations follow the same one: change "
            "down_revision of the later to the other's revision, or join them by `alembic merge "
            "heads`"
        )
    return heads[0]


def _revision_in(script: Path) -> tuple[str, frozenset[str]]:
    """The revision of a script, and those that it follows: several for a merge."""
    try:
        assigned = dict(_assigned(script))
        down = assigned["down_revision"]
        followed = [down] if isinstance(down, str) else down or ()
        revision, *others = _texts(assigned["revision"], *followed)
    except (KeyError, SyntaxError, TypeError, ValueError):
        raise MigrationsError(
            f"{script.name} cannot be read: assign `revision` a text, and `down_revision` a text, "
            "a tuple of texts or None, each on a line of its own"
        ) from None
    return revision, frozenset(others)


def _texts(*values: object) -> list[str]:
    """Raises: TypeError: one is none."""
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values):
        raise TypeError
    return texts


def _assigned(script: Path) -> Iterator[tuple[str, Any]]:
    """Raises: ValueError: it is no literal."""
    for node in ast.parse(script.read_bytes()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"}:
                yield target.id, ast.literal_eval(node.value)

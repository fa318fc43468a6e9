"""Import rules that import-linter cannot check: it knows an external package only as a whole."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICES = Path(__file__).resolve().parents[2] / "app" / "services"
_ASYNCIO = "sqlalchemy.ext.asyncio"
TYPES = {f"{_ASYNCIO}.{name}" for name in ("AsyncEngine", "AsyncSession", "async_sessionmaker")}


def imports_of(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def services() -> list[Path]:
    return sorted(SERVICES.rglob("*.py"))


@pytest.mark.parametrize("path", services(), ids=lambda path: str(path.relative_to(SERVICES)))
def test_a_service_imports_only_types_of_sessions_and_engines_from_sqlalchemy(path):
    used = {name for name in imports_of(path.read_text()) if name.startswith("sqlalchemy")}

    assert used <= TYPES

"""Names that a new resource cannot have, since the project uses them already."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.cli.new.field_types import FieldError
from app.core.config import ROOT
from app.database import Base

OPENAPI = ROOT / "docs" / "openapi.json"
_SCHEMAS = "Create", "Update", "Schema", "Page", "CursorPage"


def refuse_taken(context: Mapping[str, Any], paths: Iterable[str]) -> None:
    """Refuse a resource whose table, files, routes, operations or schemas exist.

    Args:
        context: of the templates.
        paths: of the files that it would have.

    Raises:
        FieldError: one exists.
    """
    name, classes = context["name"], {mapper.class_.__name__ for mapper in Base.registry.mappers}
    if context["Class"] in classes or context["table"] in Base.metadata.tables:
        raise FieldError(f"there is a resource {name!r} already")
    for path in (*paths, f"app/repositories/{name}", f"app/services/{name}"):
        if (ROOT / path).exists():
            raise FieldError(f"{path} exists already")
    document = json.loads(OPENAPI.read_text())
    taken = {*document["components"]["schemas"], *_routes(document)}
    for public in _public_names(context):
        if public in taken:
            raise FieldError(f"the API has {public} already: choose another name")


def _routes(document: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in document["paths"].items():
        yield "/".join(path.split("/")[:4])
        yield from (operation["operationId"] for operation in operations.values())


def _public_names(context: Mapping[str, Any]) -> Iterator[str]:
    yield f"/api/v1/{context['path']}"
    for action in ("create", "get", "update", "delete"):
        yield f"{action}_{context['name']}"
    for action in ("list", "export"):
        yield f"{action}_{context['plural']}"
    for suffix in _SCHEMAS:
        yield f"{context['Class']}{suffix}"

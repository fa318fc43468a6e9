"""`backend new resource`: a resource from its table to its tests, written from templates."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import jinja2
import typer

import app.models  # noqa: F401  # all tables are known
from app.cli.new import postman
from app.cli.new.context import bad_value, context_of, python_of
from app.cli.new.field_types import TYPES, FieldError
from app.cli.new.fields import checked_name, parse_field
from app.cli.new.taken import OPENAPI, refuse_taken
from app.cli.running import console, fail
from app.core.config import ROOT

_ROUTER = Path("app", "api", "v1", "router.py")
_PERMISSIONS = Path("app", "core", "permissions.py")
_DOCUMENT = "import json, main; print(json.dumps(main.app.openapi(), indent=2, ensure_ascii=False))"


def resource(
    name: Annotated[str, typer.Argument(help="Singular, such as project or line_item.")],
    fields: Annotated[
        list[str],
        typer.Argument(help=f"name:type, name:type? or name:type=default. Types: {TYPES}."),
    ],
    plural: Annotated[
        str | None, typer.Option(help="Default: the English plural of the name.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files only.")] = False,  # noqa: FBT002  # Typer makes it a flag
) -> None:
    """Write a resource: model, migration, schemas, repository, service, endpoints, tests, Postman.

    With a field such as owner:user each row belongs to a user. Quote fields with brackets, or write
    name:str:100 for name:str(100).
    """
    require_tools()
    try:
        name = checked_name(name, "resource")
        table = _table(name, plural)
        written = _files(name, table, fields)
    except FieldError as error:
        fail(str(error))
    for path in written:
        console.print(f"{'would write' if dry_run else 'writes'} {path}", highlight=False)
    for file in (_ROUTER, _PERMISSIONS, OPENAPI.relative_to(ROOT)):
        console.print(f"{'would change' if dry_run else 'changes'} {file}", highlight=False)
    if dry_run:
        return
    for path, text in written.items():
        (ROOT / path).write_text(text)
    _add_router(Path(next(path for path in written if "endpoints" in path)).stem)
    _add_permissions(table)
    changed = str(_ROUTER), str(_PERMISSIONS)
    tidy([*(path for path in written if path.endswith(".py")), *changed])
    document = _run([sys.executable, "-c", _DOCUMENT])
    OPENAPI.write_text(document)
    console.print("Then: make migrate, make check, make test", highlight=False)


def _table(name: str, plural: str | None) -> str:
    table = checked_name(plural or _plural(name), "resource")
    if table == name:
        raise FieldError(f"the plural of {name!r} has to differ from it: --plural NAME")
    return table


def _files(name: str, table: str, fields: Sequence[str]) -> dict[str, str]:
    """The text of each new file by its path.

    Raises:
        FieldError: the resource is not possible; nothing was written.
    """
    specs = [parse_field(field) for field in fields]
    context = context_of(name, table, specs)
    places = {
        "model.py": f"app/models/{name}.py",
        "migration.py": f"alembic/versions/{context['revision']}_add_{table}.py",
        "schema.py": f"app/schemas/{name}.py",
        "repository.py": f"app/repositories/{name}.py",
        "service.py": f"app/services/{name}.py",
        "endpoints.py": f"app/api/v1/endpoints/{table}.py",
        "tests.py": f"tests/integration/test_{table}.py",
    }
    collection = postman.file_of(context["Plural"])
    refuse_taken(context, [*places.values(), collection])
    templates = jinja2.Environment(  # noqa: S701  # it writes Python and JSON, no HTML
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"py": python_of, "bad": bad_value}
    written = {
        path: templates.get_template(f"{template}.j2").render(context)
        for template, path in places.items()
    }
    return written | {collection: json.dumps(postman.collection(context), indent=2) + "\n"}


def _plural(name: str) -> str:
    if re.search("[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "z", "ch", "sh")) else f"{name}s"


def _add_router(module: str) -> None:
    text = (ROOT / _ROUTER).read_text()
    imported = re.search(r"from app\.api\.v1\.endpoints import ([^\n(]+|\([^)]+\))", text)
    assert imported is not None  # noqa: S101  # it is our own file
    names = sorted({*re.findall(r"\w+", imported[1]), module})
    text = text.replace(imported[0], f"from app.api.v1.endpoints import {', '.join(names)}")
    text = re.sub(r"(ROUTERS: [^=]+= \([^)]*)\)", rf"\1    {module}.router,\n)", text)
    (ROOT / _ROUTER).write_text(text)


def _add_permissions(table: str) -> None:
    """Add the permissions to read and to write the rows, behind those that there are."""
    text = (ROOT / _PERMISSIONS).read_text()
    words, path = table.replace("_", " "), table.replace("_", "-")
    added = "".join(
        f'    {table.upper()}_{action.upper()} = "{path}:{action}", "{verb} all {words}"\n'
        for action, verb in (("read", "Read"), ("write", "Create, change and delete"))
    )
    head, mark, tail = text.partition("\n\n\nALL = ")
    (ROOT / _PERMISSIONS).write_text(f"{head}\n{added.rstrip()}{mark}{tail}")


def require_tools() -> None:
    """End the command where the packages of development are not installed."""
    if find_spec("ruff") is None:
        fail("ruff is not installed: `make run` or `make check` installs the tools of development")


def tidy(paths: Sequence[str]) -> None:
    """Remove unused imports, sort and format: the templates import whatever a type may need.

    A list that became short goes into one line, whatever its last comma.
    """
    sort = ["--fix", "--select", "F401,I", "--config", "lint.isort.split-on-trailing-comma=false"]
    run_ruff("check", [*sort, *paths])
    run_ruff("format", ["--config", "format.skip-magic-trailing-comma=true", *paths])


def run_ruff(command: str, arguments: Sequence[str]) -> None:
    _run([sys.executable, "-m", "ruff", command, "--quiet", *arguments])


def _run(command: Sequence[str]) -> str:
    ended = subprocess.run(  # noqa: S603  # programs of this environment
        command,
        cwd=ROOT,
        env={**os.environ, "ENVIRONMENT": "test"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        fail(f"{' '.join(command[:3])} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout

"""Extracts the words of the pages into messages.pot, and updates the catalog of each language.

Usage: words.py [--check]

Sources: `_()` and `trans` of templates, `gettext()` of scripts, and of Python what can reach a
page: sentences marked with `N_()`, notices, messages of errors, and descriptions of permissions and
settings.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

ROOT = Path(__file__).resolve().parents[1]
ADMIN = ROOT / "app/admin"
FOLDER = ADMIN / "locale"
TEMPLATE = FOLDER / "messages.pot"
LAYERS = ("core", "database", "models", "schemas", "repositories", "services", "api", "admin")
"""Folders of `app` whose errors a page can show."""
NOT_SHOWN = (
    "app/core/redis/",
    "app/core/security/tokens.py",
    "app/services/mail/smtp.py",
    "app/repositories/background/",
)
"""Files whose errors it does not."""
CALLS = {
    *{"Notice", "redirect_as_oneself", "logged_out", "added", "add_token_page"},
    *{"ValueError", "PydanticCustomError", "_wrong", "_invalid", "_refused", "_weak_password"},
}
"""Functions that are called with a message."""
TABLES = {"View", "Guide", "ActionTexts", "JobActionTexts", "LinkPage", "Chip", "Heading"}
"""Classes whose texts are shown; a text begins with a capital letter."""
DICTIONARIES = {"ADVICE", "CHOICES", "_TITLES", "NAMES", "groups", "label", "DENSITIES"}
"""Dictionaries of which the same is true, their keys included."""
NAMES = {"message", "reason"}
"""Variables, attributes and keys whose texts are messages."""
JINJA = {
    "extensions": "jinja2.ext.i18n",
    "newstyle_gettext": "true",
    "trimmed": "true",
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "silent": "false",
}


class Found(NamedTuple):
    file: str
    message: str | tuple[str, str]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="fail where a file is not up to date")
    is_check = parser.parse_args().check
    template = extracted()
    files = {TEMPLATE: _written(template)}
    for path in sorted(FOLDER.glob("*.po")):
        with path.open("rb") as file:
            catalog = read_po(file, locale=path.stem)
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        catalog.header_comment = template.header_comment
        files[path] = _written(catalog)
    compared = _messages if is_check else bytes
    stale = [
        path
        for path, text in files.items()
        if not path.exists() or compared(path.read_bytes()) != compared(text)
    ]
    for path in stale:
        if is_check:
            sys.stderr.write(f"stale: {path.relative_to(ROOT)}; run: make words\n")
        else:
            path.write_bytes(files[path])
    return len(stale) if is_check else 0


def extracted() -> Catalog:
    """All words, without dates and line numbers: the file changes with the words alone."""
    catalog = Catalog(
        project="pages",
        header_comment="# The words of the pages; `make words` updates this file.",
        fuzzy=False,
    )
    for file, message in sorted(set(_all()), key=lambda one: (one.file, str(one.message))):
        catalog.add(message, locations=[(file, None)])
    return catalog


def _written(catalog: Catalog) -> bytes:
    text = BytesIO()
    write_po(text, catalog, width=100, sort_output=True)
    lines = text.getvalue().splitlines(keepends=True)
    dated = b'"POT-Creation-Date', b'"PO-Revision-Date', b'"Generated-By', b'"Last-Translator'
    return b"".join(line for line in lines if not line.startswith(dated))


def _messages(text: bytes) -> set[tuple[object, ...]]:
    """Messages and where they are: a product's own name changes the order and the lines."""
    return {
        (one.id, one.string, *sorted(one.locations)) for one in read_po(BytesIO(text)) if one.id
    }


def _all() -> Iterator[Found]:
    yield from _of_templates()
    yield from _of_scripts()
    for layer in LAYERS:
        for path in sorted((ROOT / "app" / layer).rglob("*.py")):
            if not _name(path).startswith(NOT_SHOWN):
                for message in _python(ast.parse(path.read_text()), _name(path)):
                    yield Found(_name(path), message)


def _of_templates() -> Iterator[Found]:
    for path in sorted((ADMIN / "templates").rglob("*.html")):
        with path.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ("_", "gettext", "ngettext"), (), JINJA):
                yield Found(_name(path), _message(message))


def _of_scripts() -> Iterator[Found]:
    for path in sorted((ADMIN / "static").glob("*.js")):
        with path.open("rb") as file:
            for _, message, _, _ in extract("javascript", file, {"gettext": None}):
                yield Found(_name(path), _message(message))


def _python(tree: ast.Module, file: str) -> Iterator[str | tuple[str, str]]:  # noqa: C901  # a table
    for node in ast.walk(tree):
        match node:
            case ast.Call():
                yield from _of_call(node, file)
            case ast.Assign(targets=[target], value=value):
                yield from _of_assignment(target, value, file)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield from _of_assignment(target, value, file)
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value in NAMES:
                        yield from _texts(value)
            case ast.ClassDef(name="Permission", body=body):
                for line in body:
                    if isinstance(line, ast.Assign) and isinstance(line.value, ast.Tuple):
                        yield from _texts(line.value.elts[1])


def _of_call(call: ast.Call, file: str) -> Iterator[str | tuple[str, str]]:  # noqa: C901  # a table
    name = _called(call.func)
    is_config = file.startswith("app/core/config/")
    if name in {"ngettext", "NN_"}:
        if isinstance(call.args[0], ast.Constant):
            yield tuple(map(ast.literal_eval, call.args[:2]))
    elif name in {"N_", "gettext"}:
        yield from _texts(call.args[0])
    elif name in TABLES:
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            yield from _capitalised(argument)
    elif name == "Field" and (is_config or file.startswith("app/admin/forms/")):
        for keyword in call.keywords:
            if keyword.arg == "description":
                yield from _texts(keyword.value)
    elif not is_config and (name in CALLS or name.endswith("Exception")):
        for argument in call.args:
            yield from _texts(_resolved(argument, file), least_words=2)


def _of_assignment(target: ast.expr, value: ast.expr, file: str) -> Iterator[str]:
    match target, value:
        case ast.Name(name), _ if name in NAMES:
            yield from _texts(value)
        case ast.Name(name), _ if name in DICTIONARIES and file.startswith("app/admin/"):
            yield from _capitalised(value)
        case ast.Tuple(names), ast.Tuple(values) if len(names) == len(values):
            for one, its_value in zip(names, values, strict=True):
                if isinstance(one, ast.Name) and one.id in NAMES:
                    yield from _texts(its_value)


def _called(func: ast.expr) -> str:
    return func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")


def _resolved(node: ast.expr, file: str) -> ast.expr:
    """The value of a constant, such as `NOT_ALLOWED`: of the file itself, or else of any module,
    from which it is imported."""
    if not isinstance(node, ast.Name):
        return node
    return _constants(file).get(node.id) or _constants().get(node.id, node)


@cache
def _constants(file: str = "") -> dict[str, ast.expr]:
    """Texts of constants by their names: of a file, or of all modules."""
    files = [ROOT / file] if file else sorted((ROOT / "app").rglob("*.py"))
    return {
        target.id: line.value
        for path in files
        for line in ast.parse(path.read_text()).body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant)
        for target in line.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }


def _texts(node: ast.expr, least_words: int = 1) -> Iterator[str]:
    """The texts that an expression may be."""
    match node:
        case ast.Constant(str(text)):
            if len(text.split()) >= least_words and any(map(str.isalpha, text)):
                yield text
        case ast.JoinedStr():
            sentence = _sentence(node)
            if re.search("[A-Za-z]{3}", re.sub(r"%\(\w+\)s", "", sentence)):
                yield sentence
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body, least_words)
            yield from _texts(orelse, least_words)
        case ast.Call(args=args) if _called(node.func) == "get":  # dict.get(key, text)
            for argument in args[1:]:
                yield from _texts(argument, least_words)


def _capitalised(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        value = part.value if isinstance(part, ast.Constant) else None
        if isinstance(value, str) and value[:1].isupper():
            yield value


def _sentence(node: ast.JoinedStr) -> str:
    """`Created %(name)s` for `f"Created {role.name}"`."""
    parts: list[str] = []
    names: list[str] = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value).replace("%", "%%"))
        elif isinstance(part, ast.FormattedValue):
            name = _identifier(part.value)
            name = f"{name}{len(names)}" if name in names else name
            names.append(name)
            parts.append(f"%({name})s")
    return "".join(parts)


def _identifier(node: ast.expr) -> str:
    match node:
        case ast.Name(name):
            return name.lower()
        case ast.Attribute(attr=name):
            return name.lower()
        case ast.Call(func=func):
            return _called(func).lower().strip("_")
        case ast.Subscript(value=value):
            return _identifier(value)
    return "value"


def _message(message: str | tuple[str | None, ...]) -> str | tuple[str, str]:
    if isinstance(message, str):
        return message
    one, many, *_ = message
    return (one, many) if many else str(one)  # type: ignore[return-value]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


if __name__ == "__main__":
    sys.exit(main())

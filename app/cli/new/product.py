"""`backend new product`: gives a clone the name of a product of its own."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from app.cli.new.resource import require_tools, run_ruff
from app.cli.running import console, fail
from app.core.config import ROOT
from app.core.config.sections import AppSettings, CacheSettings
from app.core.security import api_keys

_SKIPPED = {"node_modules", "vendor", "__pycache__"}
_KEPT = {"CHANGELOG.md", "LICENSE"}
"""Files that say where the product comes from."""
_HIDDEN = {".env.example", ".github", ".devcontainer", ".vscode"}
"""Hidden files and folders that bear the name; the others hold caches and local data."""


def product(
    name: Annotated[str, typer.Argument(help='Such as "Acme API": letters, digits and spaces.')],
) -> None:
    """Rename the product: title, package, cookies, prefixes of API keys and in Redis, docs,
    deployment, Postman."""
    require_tools()
    old = AppSettings.model_fields["app_name"].default
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*( [A-Za-z0-9]+)*", name) or len(name) > 40:
        fail(f"{name!r} cannot be the name: use words of letters and digits, at most 40 characters")
    if name == old:
        fail(f"the product is called {name} already")
    replaced = _replacements(old, name)
    changed = [path for path in sorted(_files(ROOT)) if _rewrite(path, replaced)]
    code = [str(path) for path in changed if path.suffix == ".py"]
    run_ruff("format", code)
    run_ruff("check", ["--add-noqa", "--select", "E501", *code])  # a long name makes long strings
    for path in changed:
        path.rename(path.with_name(_replaced(path.name, replaced)))
    console.print(f"{len(changed)} files say {name} instead of {old} now.", highlight=False)
    console.print("Then: make check, make test", highlight=False)


def _replacements(old: str, new: str) -> Mapping[str, str]:
    """Each spelling of the old name, and its replacement."""
    key, new_key = CacheSettings.model_fields["prefix"].default.partition(":")[0], _key(new)
    return {
        old: new,
        quote(old): quote(new),
        old.replace(" ", "-"): new.replace(" ", "-"),
        old.replace(" ", "-").lower(): new.replace(" ", "-").lower(),
        f"{key}:": f"{new_key}:",
        api_keys.PREFIX: f"{new_key}_",
        **{cookie: f"{new_key}_{cookie.partition('_')[2]}" for cookie in _cookies()},
    }


def _key(name: str) -> str:
    return name.replace(" ", "_").lower()


def _cookies() -> Iterator[str]:
    """How the names of the admin pages' cookies are written, where there are admin pages."""
    module = ROOT / "app" / "admin" / "cookies.py"
    text = module.read_text() if module.exists() else ""
    start = re.search(r'"(\w+)_\{cookie\}"', text)
    names = re.search(r"CookieName = Literal\[(.*?)\]", text, re.DOTALL)
    if start and names:
        for name in ("{cookie}", "{name}", *re.findall(r"\w+", names[1])):
            yield f"{start[1]}_{name}"


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _SKIPPED or (path.name.startswith(".") and path.name not in _HIDDEN):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif path.is_file() and path.name not in _KEPT:
            yield path


def _rewrite(path: Path, replaced: Mapping[str, str]) -> bool:
    """Write the new name into a file; whether the file or its name bears the old one."""
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return False
    new = _replaced(text, replaced)
    if new != text:
        path.write_text(new)
    return new != text or _replaced(path.name, replaced) != path.name


def _replaced(text: str, replaced: Mapping[str, str]) -> str:
    for old, new in replaced.items():
        text = re.sub(rf"(?<![a-z]){re.escape(old)}", new, text)
    return text

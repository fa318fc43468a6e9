"""The documents, as the tests read them: their code blocks, and the commands in these."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
README, OPERATIONS = ROOT / "README.md", ROOT / "docs" / "OPERATIONS.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
SETTING = re.compile(r"(\w+)=(\S+)(?: +#.*)?")
_NO_COMMANDS = {"", "jinja", "json", "python", "ts", "diff", "mermaid"}
_COMMAND = re.compile(
    r"(make|backend|uvicorn|alembic|kubectl|docker|curl|pip|python3?|pytest|psql|openssl|pg_\w+"
    r"|\.venv/bin/\w+|openapi-python-client|newman|npm|npx|ruff|mypy|git|locust|valkey-cli"
    r"|ACL|ALTER|ANALYZE|CREATE|DELETE FROM|DROP|EXPLAIN|GRANT|SELECT|UPDATE) (?!INDEX$)\S"
)
"""What code within the text begins with where it is a command: more than a program's name."""
_MARKDOWN = MarkdownIt().enable("table")
_PATH = re.compile(r"`([^`]+)`:")


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        language: as the first fence says.
        path: of the file that it is, or is about, where the line above names one.
    """

    language: str
    text: str
    path: str | None = None

    @property
    def is_settings(self) -> bool:
        return all(SETTING.fullmatch(line) for line in self.text.splitlines())

    def commands(self) -> Iterator[tuple[str, str]]:
        """Of a `console` block: what is typed, and the output that is shown."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            typed = [lines.pop(0)]
            while lines and typed[-1].endswith(("\\", "|")):
                typed.append(lines.pop(0))
            yield "\n".join(typed), "\n".join(lines).strip()


def blocks_of(page: Path) -> Iterator[Block]:
    line_above = ""
    for token in _MARKDOWN.parse(page.read_text()):
        if token.type == "inline":
            line_above = token.content
        elif token.type == "fence":
            named = _PATH.fullmatch(line_above)
            yield Block(token.info, token.content, named[1] if named else None)
            line_above = ""


def commands() -> list[str]:
    """Of all pages, in one line each and without comments; a block of `sql` is one."""
    found = []
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "console":
                found += [command for command, _ in block.commands()]
            elif block.language == "sh" and not block.is_settings:
                found += block.text.replace("\\\n", "").splitlines()
            elif block.language not in {"sh", *_NO_COMMANDS}:
                found.append(block.text)
        inline = [t.children or [] for t in _MARKDOWN.parse(page.read_text())]
        code = [t.content for t in chain(*inline) if t.type == "code_inline"]
        found += filter(_COMMAND.match, code)
    return list(dict.fromkeys(filter(None, map(_plain, found))))


def _plain(command: str) -> str:
    return " ".join(re.sub(r"(^|\s+)#.*", "", command).split())

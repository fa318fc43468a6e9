"""The documents, as the tests read them: their code blocks, and the commands in these."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(
    r"(?:^`(?P<path>[^`\n]+)`:\n\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


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

    def commands(self) -> Iterator[tuple[str, str]]:
        """Of a `console` block: what is typed, and the output that is shown."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            typed = [lines.pop(0)]
            while lines and typed[-1].endswith(("\\", "|")):
                typed.append(lines.pop(0))
            yield "\n".join(typed), "\n".join(lines).strip()


def blocks_of(page: Path) -> Iterator[Block]:
    for found in _BLOCK.finditer(page.read_text()):
        text = re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        yield Block(found["language"], text, found["path"])


def without_blocks(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())


def apply(diff: str, text: str) -> str:
    """`text` with a diff that has no line numbers: each part finds its place by its lines.

    Args:
        diff: lines that begin with ` `, `-` or `+`; `@@` stands between two places.
        text: of a file.

    Raises:
        AssertionError: a part's old lines are not there, or more than once.
    """
    for part in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert f"\n{text}".count(f"\n{old}") == 1, f"these lines are not there just once:\n{old}"
        text = f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:]
    return text

"""A Dockerfile, read as far as ours goes."""

import json
import re
from pathlib import Path


class Dockerfile:
    """Its instructions, one a line."""

    def __init__(self, path: Path) -> None:
        lines = (line for line in path.read_text().splitlines() if not line.startswith("#"))
        joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
        pairs = (line.partition(" ")[::2] for line in joined.splitlines() if line)
        self._instructions = [(name, rest.strip()) for name, rest in pairs]

    def told(self, instruction: str) -> list[str]:
        """What follows each `instruction`, in order."""
        return [rest for name, rest in self._instructions if name == instruction]

    def arguments(self, instruction: str) -> list[str]:
        """Of the last one in its exec form, such as `CMD ["serve"]`; options before it left out."""
        told = self.told(instruction)[-1]
        found: list[str] = json.loads(told[told.index("[") :])
        return found

    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        return dict(re.findall(r"(\w+)=(\S+)", " ".join(self.told("ENV"))))

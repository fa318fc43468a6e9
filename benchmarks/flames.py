"""Where the processor time of `GET /users/me` goes, as a flame graph.

Usage: python -m benchmarks.flames [--path /api/v1/users/me] [--seconds 15]

Needs py-spy, which samples the event loop's thread of a worker under the load of ten connections.
Writes docs/images/flames.svg and prints the share of each function on the way of a request.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from benchmarks import load
from benchmarks.instance import Instance, application, servers
from benchmarks.report import PAGE

PICTURE = PAGE.parent / "images" / "flames.svg"
USERS, CONNECTIONS, RATE = 10_000, 10, 500
LEAST = 0.01
"""Share of the samples below which a function is not shown."""
WIDTH, ROW, LETTER = 1600, 17, 6.2
"""Pixels: of the picture, of a function's height, and of a letter."""
_ROOT = re.compile(r"Runner\.run \(asyncio")
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(:\d+)?\)")
_COLORS = {"app/": "#e8a66b", "fastapi/": "#8fb8de", "starlette/": "#b7cfe5", "uvicorn/": "#b9d8b0"}
_OTHER = "#d9d4c7"

Stack = tuple[str, ...]


def sampled(service: Instance, path: str, seconds: int, program: str) -> Counter[Stack]:
    """Samples by stack, from the event loop on, without line numbers."""
    requests = [load.get(path, service.token)]
    load.run(service.port, requests, CONNECTIONS, 2)
    busy = Thread(target=load.run, args=(service.port, requests, CONNECTIONS, seconds + 2))
    busy.start()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "stacks"
        options = ["--rate", str(RATE), "--duration", str(seconds), "--format", "raw"]
        command = [program, "record", "--pid", str(service.process.pid), *options]
        subprocess.run([*command, "--output", str(file)], check=True, capture_output=True)  # noqa: S603  # ours
        lines = file.read_text().splitlines()
    busy.join()
    return parsed(lines)


def parsed(lines: list[str]) -> Counter[Stack]:
    """The stacks in py-spy's raw format, of the event loop's thread."""
    stacks: Counter[Stack] = Counter()
    for line in lines:
        named, _, count = line.rpartition(" ")
        frames = [re.sub(r":\d+\)$", ")", frame) for frame in named.split(";")]
        begin = next((n for n, frame in enumerate(frames) if _ROOT.match(frame)), None)
        if begin is not None:
            stacks[tuple(frames[begin:])] += int(count)
    return stacks


def shares(stacks: Counter[Stack]) -> dict[Stack, float]:
    """The share of each stack and of each beginning of one, those below `LEAST` left out."""
    total = stacks.total()
    counts: Counter[Stack] = Counter()
    for stack, count in stacks.items():
        for depth in range(1, len(stack) + 1):
            counts[stack[:depth]] += count
    return {stack: n / total for stack, n in sorted(counts.items()) if n / total >= LEAST}


def drawn(found: dict[Stack, float]) -> str:
    """The picture: what a function calls is below it, as wide as its share."""
    height = max(map(len, found)) * ROW
    boxes: list[str] = []
    places: dict[Stack, float] = {(): 0.0}
    for stack, share in found.items():
        parent = stack[:-1]
        left = places[parent]
        places[parent], places[stack] = left + share, left
        boxes.append(_box(stack, share, left * WIDTH))
    style = "text{font:11px sans-serif}rect{stroke:#fff;stroke-width:.5}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">'
    return "\n".join([head, f"<style>{style}</style>", *boxes, "</svg>", ""])


def _box(stack: Stack, share: float, left: float) -> str:
    frame = _FRAME.fullmatch(stack[-1])
    function, file = frame.group("function", "file") if frame else (stack[-1], "")
    color = next((color for part, color in _COLORS.items() if file.startswith(part)), _OTHER)
    top, width = (len(stack) - 1) * ROW, share * WIDTH
    name = function.replace(".<locals>", "")[: int(width / LETTER)]
    title = escape(f"{function}, {file}: {share:.1%}")
    return (
        f'<g><title>{title}</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" '
        f'height="{ROW}" fill="{color}"/><text x="{left + 2:.1f}" y="{top + 12}">{escape(name)}'
        "</text></g>"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", default="/api/v1/users/me", help="of the request")
    parser.add_argument("--seconds", type=int, default=15, help="of sampling")
    options = parser.parse_args()
    program = shutil.which("py-spy")
    if program is None:
        sys.stderr.write("py-spy has to be installed for it\n")
        return 1
    with servers() as own, application(own, USERS) as service:
        found = shares(sampled(service, options.path, options.seconds, program))
    PICTURE.write_text(drawn(found))
    for stack, share in found.items():
        sys.stdout.write(f"{share:6.1%} {'  ' * len(stack)}{stack[-1]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The rows of the table of targets, measured afresh.

Usage: [USERS=10000000] python -m benchmarks [--row P2] [--runs 5] [--write]

USERS is the number of users in the largest database of P1, P4 and P5; a million by default. Ten
million take about three minutes to make, and 6 GB of disk.
"""

import argparse
import sys

from benchmarks import plots, report
from benchmarks.rows import ROWS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=sorted(ROWS), action="append", help="only this one")
    parser.add_argument("--runs", type=int, default=5, help="of each figure")
    parser.add_argument(
        "--write", action="store_true", help="table and plot into docs/PERFORMANCE.md"
    )
    options = parser.parse_args()
    figures: list[report.Figure] = []
    for row in options.row or ROWS:
        sys.stderr.write(f"{row} …\n")
        found = list(ROWS[row](options.runs))
        report.show(found)
        figures += found
    if options.write:
        report.write(figures)
        plots.draw(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())

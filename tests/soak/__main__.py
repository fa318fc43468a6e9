"""Clients write and read through a running service while what it stands on is broken.

Usage: python -m tests.soak [--minutes 5] [--seed N] [--fault NAME] [--brief]
"""

import argparse
import signal
import sys
from random import SystemRandom

from tests.soak.faults import FAULTS
from tests.soak.run import Plan, brief, soak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    parser.add_argument("--fault", choices=FAULTS, action="append", help="only this one")
    parser.add_argument("--brief", action="store_true", help="each quick fault once, for a second")
    options = parser.parse_args()
    # Ctrl+C and SIGTERM end what was started, before this process ends.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    plan = Plan(options.minutes * 60, options.seed, options.fault or tuple(FAULTS))
    try:
        report = soak(brief(options.seed) if options.brief else plan)
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(f"{report.text()}\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())

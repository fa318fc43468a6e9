"""Kill workers at random moments, and count what became of jobs and mails.

`python -m tests.faults --kills 200` takes some minutes; the tests kill a few.
"""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.conftest import Postgres
from tests.faults.job_kills import run


async def main(folder: Path, kills: int) -> int:
    postgres = Postgres(folder / "postgres")

    async def crash() -> None:
        await postgres.stop(signal.SIGQUIT)
        await postgres.start()

    try:
        outcome = await run(postgres.url, kills, crash)
    finally:
        postgres.leave()
    sys.stdout.write(f"{outcome}\n")
    return 0 if outcome.is_right else 1


if __name__ == "__main__":
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd's, a line for each command
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    with TemporaryDirectory(prefix="backend-api-") as place:
        Path(place).chmod(0o755)
        status = asyncio.run(main(Path(place), parser.parse_args().kills))
    sys.exit(status)

"""Whether a refused login tells by its time why: medians for each reason, samples interleaved.

Usage: python benchmarks/login_timing.py [--samples 200] [--bound 0.05]

Starts servers of its own, prints a table, and exits with 1 where two medians are further apart
than the bound allows.
"""

import argparse
import asyncio
import platform
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from app.core.config import load_settings
from app.runtime import Runtime
from app.schemas.user import UserCreate
from main import create_app

PASSWORD = "correct horse battery staple"  # noqa: S105  # of accounts that live a minute
REASONS = {
    "unknown account": ("nobody@example.com", "wrong wrong"),
    "wrong password": ("active@example.com", "wrong wrong"),
    "empty password": ("active@example.com", ""),
    "over-long password": ("active@example.com", "x" * 10_000),
    "disabled account": ("disabled@example.com", PASSWORD),
}


async def sample(samples: int, local: Path) -> dict[str, list[float]]:
    """Seconds that each login took, by reason."""
    settings = load_settings().replaced(
        limiter={"enabled": False}, cache={"enabled": False}, log={"level": "ERROR"}
    )
    app = create_app(settings, local)
    times: dict[str, list[float]] = {reason: [] for reason in REASONS}
    async with app.router.lifespan_context(app):
        await _add_accounts(app.state.runtime)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
            for _ in range(samples):
                for reason, (email, password) in REASONS.items():
                    began = time.perf_counter()
                    answer = await client.post(
                        "/api/v1/auth/login", json={"email": email, "password": password}
                    )
                    times[reason].append(time.perf_counter() - began)
                    assert answer.status_code == 401  # noqa: S101  # else it measures nothing
    return times


async def _add_accounts(runtime: Runtime) -> None:
    async with runtime.session_maker() as db:
        users = runtime.user_service(db)
        for name, is_active in (("active", True), ("disabled", False)):
            password = SecretStr(PASSWORD)
            email = f"{name}@example.com"
            await users.create_user(UserCreate(email=email, password=password, is_active=is_active))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200, help="logins of each kind")
    parser.add_argument("--bound", type=float, default=0.05, help="how far medians may differ")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        times = asyncio.run(sample(options.samples, Path(folder)))

    console = Console()
    table = Table("refused for", "median", "p5", "p95", title=f"{options.samples} logins each, ms")
    medians = {reason: statistics.median(taken) for reason, taken in times.items()}
    for reason, taken in times.items():
        steps = statistics.quantiles(taken, n=20)
        figures = (medians[reason], steps[0], steps[-1])
        table.add_row(reason, *(f"{seconds * 1000:.2f}" for seconds in figures))
    console.print(table)
    apart = max(medians.values()) / min(medians.values()) - 1
    console.print(f"medians differ by {apart:.1%}; Python {platform.python_version()}, ", end="")
    console.print(f"{platform.processor() or platform.machine()}")
    return int(apart > options.bound)


if __name__ == "__main__":
    sys.exit(main())

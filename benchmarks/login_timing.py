"""Whether the time of a response reveals who has an account: medians by case, which take turns.

Of refused logins, requests for a new password, sign-ups where emails have to be verified, and
invitations.

Usage: python benchmarks/login_timing.py [--samples 200] [--bound 0.05]

Starts servers of its own, prints a table for each kind of request, and exits with 1 where two
medians of a table are further apart than the bound allows.
"""

import argparse
import asyncio
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from app.core.config import load_settings
from app.runtime import Runtime
from app.schemas.user import UserCreate
from main import create_app

PASSWORD = "correct horse battery staple"  # noqa: S105  # of accounts that live a minute


@dataclass(frozen=True)
class Requests:
    """Requests whose responses should take the same time.

    Attributes:
        status: of all responses.
        bodies: by case; `{n}` in an email is replaced by a number of its own.
        by_superuser: whether a superuser sends them, or nobody in particular.
    """

    title: str
    path: str
    status: int
    bodies: dict[str, dict[str, str]]
    by_superuser: bool = False


REQUESTS = (
    Requests(
        "refused logins",
        "auth/login",
        401,
        {
            "unknown account": {"email": "nobody@example.com", "password": "wrong wrong"},
            "wrong password": {"email": "active@example.com", "password": "wrong wrong"},
            "empty password": {"email": "active@example.com", "password": ""},
            "over-long password": {"email": "active@example.com", "password": "x" * 10_000},
            "disabled account": {"email": "disabled@example.com", "password": PASSWORD},
        },
    ),
    Requests(
        "requests for a new password",
        "auth/password-recovery",
        202,
        {
            "unknown account": {"email": "nobody{n}@example.com"},
            "account": {"email": "forgetful{n}@example.com"},
            "account, mailed a moment ago": {"email": "active@example.com"},
            "disabled account": {"email": "left{n}@example.com"},
        },
    ),
    Requests(
        "sign-ups, emails to be verified",
        "users",
        202,
        {
            "new account": {"email": "new{n}@example.com", "password": PASSWORD},
            "account": {"email": "member{n}@example.com", "password": PASSWORD},
            "account, mailed a moment ago": {"email": "active@example.com", "password": PASSWORD},
            "disabled account": {"email": "left{n}@example.com", "password": PASSWORD},
        },
    ),
    Requests(
        "invitations",
        "users/invitations",
        201,
        {
            "no account": {"email": "guest{n}@example.com"},
            "account": {"email": "member{n}@example.com"},
            "disabled account": {"email": "left{n}@example.com"},
        },
        by_superuser=True,
    ),
)
NUMBERED = text("""
    INSERT INTO users (email, username, hashed_password, is_active)
    SELECT kind || n || '@example.com', kind || n, '', kind <> 'left'
    FROM unnest(ARRAY['forgetful', 'member', 'left']) kind, generate_series(0, :samples - 1) n
""")
"""Accounts of which each is asked about once: a second mail within a minute is not sent."""


async def sample(samples: int, local: Path) -> dict[str, dict[str, list[float]]]:
    """Seconds that each response took, by kind of request and case."""
    settings = load_settings().replaced(
        limiter={"enabled": False},
        cache={"enabled": False},
        log={"level": "ERROR"},
        auth={"email_verification": "required"},
        jobs={"in_process": False},
    )
    app = create_app(settings, local)
    times: dict[str, dict[str, list[float]]] = {
        kind.title: {case: [] for case in kind.bodies} for kind in REQUESTS
    }
    async with app.router.lifespan_context(app):
        await _add_accounts(app.state.runtime, samples)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
            superuser = await _log_in(client)
            for number in range(samples):
                for kind in REQUESTS:
                    headers = superuser if kind.by_superuser else {}
                    for case, body in _in_turn(kind.bodies, number):
                        sent = body | {"email": body["email"].replace("{n}", str(number))}
                        began = time.perf_counter()
                        answer = await client.post(
                            f"/api/v1/{kind.path}", json=sent, headers=headers
                        )
                        times[kind.title][case].append(time.perf_counter() - began)
                        assert answer.status_code == kind.status, answer.text  # noqa: S101  # else it measures nothing
    return times


def _in_turn(bodies: dict[str, dict[str, str]], number: int) -> list[tuple[str, dict[str, str]]]:
    """The cases, each first as often as the others: the first one is slower."""
    cases = list(bodies.items())
    first = number % len(cases)
    return cases[first:] + cases[:first]


async def _log_in(client: httpx.AsyncClient) -> dict[str, str]:
    """The header of a superuser."""
    credentials = {"email": "root@example.com", "password": PASSWORD}
    answer = await client.post("/api/v1/auth/login", json=credentials)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def _add_accounts(runtime: Runtime, samples: int) -> None:
    password = SecretStr(PASSWORD)
    async with runtime.session_maker() as db:
        await db.execute(NUMBERED, {"samples": samples})
        await db.commit()
        users = runtime.user_service(db)
        for name, is_active in (("active", True), ("disabled", False)):
            email = f"{name}@example.com"
            await users.create_user(UserCreate(email=email, password=password, is_active=is_active))
        root = UserCreate(email="root@example.com", password=password, is_superuser=True)
        await users.create_user(root, is_verified=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200, help="requests of each case")
    parser.add_argument("--bound", type=float, default=0.05, help="how far medians may differ")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        times = asyncio.run(sample(options.samples, Path(folder)))

    console = Console()
    console.print(f"{options.samples} requests of each case, in ms; ", end="")
    console.print(
        f"Python {platform.python_version()}, {platform.processor() or platform.machine()}"
    )
    apart = [_show(console, title, cases) for title, cases in times.items()]
    return int(max(apart) > options.bound)


def _show(console: Console, title: str, cases: dict[str, list[float]]) -> float:
    """Print the figures of a kind of request; returns how far the medians are apart."""
    table = Table("case", "median", "p5", "p95", title=title)
    medians = {case: statistics.median(taken) for case, taken in cases.items()}
    for case, taken in cases.items():
        steps = statistics.quantiles(taken, n=20)
        figures = (medians[case], steps[0], steps[-1])
        table.add_row(case, *(f"{seconds * 1000:.2f}" for seconds in figures))
    console.print(table)
    apart = max(medians.values()) / min(medians.values()) - 1
    console.print(f"medians differ by {apart:.1%}")
    return apart


if __name__ == "__main__":
    sys.exit(main())

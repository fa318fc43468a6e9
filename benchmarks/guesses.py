"""Guesses of a password that an attacker gets, for one account, by the default limits.

Usage: python benchmarks/guesses.py

Starts servers of its own. A guess counts where the right password in its place would have been
accepted: the right one is sent after none, one, two … wrong ones, each time to another account,
until it is refused. Windows last a minute, so that an hour has sixty times as many guesses.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from app.core.config import load_settings
from app.core.config.sections import LimiterSettings
from app.schemas.user import UserCreate
from main import create_app

RIGHT, WRONG = "correct horse battery staple", "a wrong guess"
NEW = "another battery staple horse"
API, DEVICE_TOKEN = "/api/v1", "X-Device-Token"


@dataclass(frozen=True)
class Account:
    """An account, and what was stolen from its owner."""

    name: str
    access_token: str = ""
    device_token: str | None = None

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"


@dataclass(frozen=True)
class Guess:
    """A request with `password`."""

    path: str
    body: dict[str, str]
    is_form: bool = False
    headers: tuple[tuple[str, str], ...] = ()


Guesses = Callable[[Account, str, int], Guess]
"""The guess of a password, by its number: attackers take turns where that gains something."""


def by_email(account: Account, password: str, _: int) -> Guess:
    return Guess("/auth/token", {"username": account.email, "password": password}, is_form=True)


def by_both_names(account: Account, password: str, number: int) -> Guess:
    name = (account.email, account.name)[number % 2]
    return Guess("/auth/token", {"username": name, "password": password}, is_form=True)


def by_device(account: Account, password: str, _: int) -> Guess:
    headers = ((DEVICE_TOKEN, account.device_token),) if account.device_token else ()
    return Guess("/auth/login", {"email": account.email, "password": password}, headers=headers)


def by_session(account: Account, password: str, number: int) -> Guess:
    path, body = (
        ("/auth/confirmation", {"password": password}),
        ("/auth/password", {"current_password": password, "new_password": NEW}),
        ("/users/me/deletion", {"current_password": password}),
    )[number % 3]
    return Guess(path, body, headers=(("Authorization", f"Bearer {account.access_token}"),))


@dataclass(frozen=True)
class Attack:
    """
    Attributes:
        addresses: number of those the guesses come from, in turn.
        is_thief: whether the owner logged in before, and tokens of that were stolen.
    """

    guesses: Guesses
    addresses: int = 1
    is_thief: bool = False


ATTACKS = {
    "one address, by email": Attack(by_email),
    "one address, by email and username": Attack(by_both_names),
    "100 addresses, by email and username": Attack(by_both_names, 100),
    "a stolen device token": Attack(by_device, is_thief=True),
    "a stolen access token, all requests with a password": Attack(by_session, is_thief=True),
}


class Attacker:
    """Attacks accounts of an application, each from addresses of their own."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._numbers = count(1)

    async def guesses_a_minute(self, attack: Attack) -> int:
        wrong = 0
        while await self._gets_in(attack, wrong):
            wrong += 1
        return wrong

    async def _gets_in(self, attack: Attack, wrong: int) -> bool:
        number = next(self._numbers)
        account = await self._account(number, logs_in=attack.is_thief)
        is_in = False
        for turn in range(wrong + 1):
            guess = attack.guesses(account, RIGHT if turn == wrong else WRONG, turn)
            async with self._client(f"10.{number}.{turn % attack.addresses}.1") as client:
                sent = {"data" if guess.is_form else "json": guess.body}
                headers = dict(guess.headers)
                answer = await client.post(API + guess.path, headers=headers, **sent)  # type: ignore[arg-type]
            is_in = answer.is_success
        return is_in

    async def _account(self, number: int, *, logs_in: bool) -> Account:
        name = f"owner{number}"
        runtime = self._app.state.runtime
        email = f"{name}@example.com"
        async with runtime.session_maker() as db:
            user = UserCreate(email=email, username=name, password=SecretStr(RIGHT))
            await runtime.user_service(db).create_user(user)
        if not logs_in:
            return Account(name)
        async with self._client(f"192.0.2.{number}") as owner:
            credentials = {"email": email, "password": RIGHT}
            login = await owner.post(f"{API}/auth/login", json=credentials)
        token = login.json()["access_token"]
        return Account(name, token, login.headers.get(DEVICE_TOKEN))

    @asynccontextmanager
    async def _client(self, address: str) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self._app, client=(address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
            yield client


async def measure(local: Path) -> dict[str, int]:
    """Guesses a minute, by attack."""
    fields = LimiterSettings.model_fields
    limits = {name: fields[name].default for name in ("login", "login_address")}
    settings = load_settings().replaced(
        limiter=limits, cache={"enabled": False}, log={"level": "ERROR"}, jobs={"in_process": False}
    )
    app = create_app(settings, local)
    async with app.router.lifespan_context(app):
        attacker = Attacker(app)
        return {name: await attacker.guesses_a_minute(attack) for name, attack in ATTACKS.items()}


def main() -> None:
    with TemporaryDirectory(prefix="backend-api-") as folder:
        Path(folder).chmod(0o755)
        figures = asyncio.run(measure(Path(folder)))
    table = Table("attack", "a minute", "an hour", title="guesses of one account's password")
    for attack, guesses in figures.items():
        table.add_row(attack, str(guesses), f"{60 * guesses:,}")
    Console().print(table)


if __name__ == "__main__":
    main()

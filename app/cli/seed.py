"""`backend seed`: fills the database with made-up users."""

import random
import secrets
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.ext.asyncio import AsyncSession

from app.bootstrap import prepare_database, show_generated_password
from app.cli.running import command_settings, console, fail, run_command
from app.core.security import PasswordHasher
from app.repositories.user.repository import UserRepository
from app.runtime import open_runtime
from app.schemas.audit import Action
from app.services.base import BaseService

COPY_BATCH = 5_000
YEARS = 2
DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "corp.example")


def seed(
    users: Annotated[int, typer.Option(min=1, help="Number of users.")] = 1000,
    password: Annotated[
        str | None, typer.Option(help="Password of all users. Default: random.")
    ] = None,
) -> None:
    """Fill the database with made-up users."""
    settings = command_settings()
    if settings.is_production:
        fail("backend seed is not allowed in production")
    secret = password or secrets.token_urlsafe(12)
    columns = TextColumn("users"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()

    async def work() -> None:
        async with open_runtime(settings) as runtime, runtime.session_maker() as db:
            # First: with superusers among the made-up users, no first one would be created.
            show_generated_password(await prepare_database(runtime), console)
            with Progress(*columns, console=console) as bar:
                task = bar.add_task("users", total=users)
                service = SeedService(db, runtime.passwords)
                await service.seed(users, secret, lambda count: bar.advance(task, count))
            console.print(
                f"{users} users created, all with the password: {secret}",
                markup=False,
                soft_wrap=True,
            )

    run_command(work())


class SeedService(BaseService):
    """Fills the users table through COPY, with one password for all."""

    def __init__(self, db: AsyncSession, passwords: PasswordHasher) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.passwords = passwords

    async def seed(self, count: int, password: str, progress: Callable[[int], None]) -> None:
        """Insert `count` users in one transaction, with one audit event for all of them, and update
        the planner's statistics.

        One in ten is inactive and one in two hundred a superuser. They signed up during the
        last two years, in growing numbers.

        Args:
            count: number of users.
            password: of all of them; hashed once.
            progress: called after each batch with its size.
        """
        hashed = await self.passwords.hash(password)
        async with self.transaction():
            rows = people(count, hashed, first=await self.users.last_id() + 1)
            while batch := list(islice(rows, COPY_BATCH)):
                await self.users.copy(SEED_COLUMNS, batch)
                progress(len(batch))
            self.audit.record(Action.USERS_SEEDED, after={"users": count})
        async with self.transaction():
            await self.users.analyze()


SEED_COLUMNS = (
    "email",
    "username",
    "full_name",
    "hashed_password",
    "is_active",
    "is_superuser",
    "created_at",
    "updated_at",
)


def people(count: int, hashed_password: str, first: int) -> Iterator[tuple[object, ...]]:
    """Rows in the order of `SEED_COLUMNS`; the same for the same `first`.

    Args:
        count: number of users.
        hashed_password: of all of them.
        first: an id that is free, as are those after it; they make names unique.
    """
    given_names, family_names = names("given_names.txt"), names("family_names.txt")
    all_given, all_family = list(given_names), list(family_names)
    chance = random.Random(first)  # noqa: S311  # no secret
    now = datetime.now(UTC)
    span = YEARS * 365 * 86_400
    for number in range(first, first + count):
        given, family = chance.choice(all_given), chance.choice(all_family)
        handle = f"{given_names[given]}.{family_names[family]}"[:20] + str(number)
        # The square of a uniform number is mostly near zero: most accounts are young.
        age = timedelta(seconds=span * chance.random() ** 2)
        yield (
            f"{handle}@{chance.choice(DOMAINS)}",
            handle,
            f"{given} {family}",
            hashed_password,
            chance.random() >= 0.1,
            chance.random() < 0.005,
            now - age,
            now - age * chance.random(),
        )


def names(file: str) -> dict[str, str]:
    """The names of a file, each with its spelling in ASCII."""
    lines = Path(__file__).with_name(file).read_text(encoding="utf-8").split()
    return {name: _ascii(name) for name in lines}


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "".join(letter for letter in plain if letter.isalnum())

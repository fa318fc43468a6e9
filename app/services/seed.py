"""People who do not exist, by the hundred thousand."""

import random
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security import PasswordHasher
from app.repositories.user.repository import UserRepository
from app.services.base import BaseService

BATCH = 5_000
YEARS = 2
_DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "corp.example")


class SeedService(BaseService):
    """Fills the users table through COPY, with one password for all."""

    def __init__(self, db: AsyncSession, passwords: PasswordHasher) -> None:
        super().__init__(db)
        self.users = UserRepository(db)
        self.passwords = passwords

    async def seed(self, count: int, password: str, progress: Callable[[int], None]) -> None:
        """Insert `count` users in one transaction, and let the planner know of them.

        One in ten is inactive and one in two hundred a superuser. They signed up during the
        last two years, ever more of them.

        Args:
            count: how many.
            password: everybody's; hashed once.
            progress: called after each batch with how many it held.
        """
        hashed = await self.passwords.hash(password)
        async with self.transaction():
            rows = people(count, hashed, first=await self.users.last_id() + 1)
            while batch := list(islice(rows, BATCH)):
                await self.users.copy(COLUMNS, batch)
                progress(len(batch))
        async with self.transaction():
            await self.users.analyze()


COLUMNS = (
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
    """Rows in the order of `COLUMNS`; the same for the same `first`.

    Args:
        count: how many.
        hashed_password: everybody's.
        first: a number that no one has yet: it and those after it keep names unique.
    """
    given_names, family_names = _lines("given_names.txt"), _lines("family_names.txt")
    chance = random.Random(first)  # noqa: S311  # nothing secret about it
    now = datetime.now(UTC)
    span = YEARS * 365 * 86_400
    for number in range(first, first + count):
        given, family = chance.choice(given_names), chance.choice(family_names)
        handle = f"{_ascii(given)}.{_ascii(family)}"[:20] + str(number)
        # The square of a uniform number crowds towards zero: the younger, the more.
        age = timedelta(seconds=span * chance.random() ** 2)
        yield (
            f"{handle}@{chance.choice(_DOMAINS)}",
            handle,
            f"{given} {family}",
            hashed_password,
            chance.random() >= 0.1,
            chance.random() < 0.005,
            now - age,
            now - age * chance.random(),
        )


def _lines(file: str) -> list[str]:
    return Path(__file__).with_name(file).read_text(encoding="utf-8").split()


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "".join(letter for letter in plain if letter.isalnum())

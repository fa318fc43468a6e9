"""People of every kind, and what the contract makes of them: a model to hold answers against."""

import random
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

Row = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [
    *("Ada Lovelace", "ADA_LOVELACE", "ada%lovelace", "a\\d\\a", "Ada", None, "100%", "_", "\\"),
    *("Åsa Öberg", "åSA öBERG", "Борис", "БОРИС", "山田太郎", "O'Neill", '"quoted"', "x--y; DROP"),
    *("50% _off_", "/slash/", "Anna Ann", "annabel", None, "$1", ":name", "{braces}", "Ana"),
]
STATES = (None, True, False)
DIRECTIONS = ("desc", "asc")
CROSSED_ORDERS = list(product(("created_at", "username", "email"), DIRECTIONS))
OTHER_ORDERS = list(product(("id", "updated_at"), DIRECTIONS))
ORDERS = CROSSED_ORDERS + OTHER_ORDERS
COMBINATIONS = [
    {"is_active": active, "is_superuser": superuser, "sort_by": by, "sort_order": order}
    for active, superuser, (by, order) in [
        *product(STATES, STATES, CROSSED_ORDERS),
        *product([True], [None], OTHER_ORDERS),
    ]
]


def people() -> list[Row]:
    """Of every state, three at a time made at one moment, whose orders have nothing in common."""
    chance = random.Random(4)
    numbers = chance.sample(range(100), len(NAMES) * 2)
    return [
        {
            "email": f"{chance.choice('abcxyz')}{number}@example.{chance.choice(['com', 'org'])}",
            "username": f"{chance.choice(['user', 'User', 'aDa', 'Bob'])}{number}",
            "full_name": name,
            "hashed_password": "",
            "is_active": chance.random() < 0.7,
            "is_superuser": chance.random() < 0.3,
            "created_at": START + timedelta(microseconds=place // 3),
        }
        for place, (number, name) in enumerate(zip(numbers, NAMES * 2, strict=True))
    ]


def expected(
    users: list[Row],
    is_active: bool | None = None,
    is_superuser: bool | None = None,
    search: str = "",
    sort_by: str = "created_at",
    sort_order: str = "desc",
) -> list[int]:
    """Ids, as the contract has them."""

    def matches(user: Row) -> bool:
        names = user["username"], user["email"], user["full_name"] or ""
        return (
            is_active in (None, user["is_active"])
            and is_superuser in (None, user["is_superuser"])
            and any(search.lower() in name.lower() for name in names)
        )

    def key(user: Row) -> tuple[Any, int]:
        value = user[sort_by]
        return value.lower() if sort_by == "username" else value, user["id"]

    found = sorted(filter(matches, users), key=key, reverse=sort_order == "desc")
    return [user["id"] for user in found]


def sent(**filters: Any) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value is not None}

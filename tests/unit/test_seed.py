"""People who do not exist have to pass for people who do."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from app.cli.seed import SEED_COLUMNS, YEARS, people
from app.models import User
from app.schemas.user import UserCreate

COUNT = 20_000
HASHED = "$argon2id$nobody's"


@pytest.fixture(scope="module")
def began() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def everybody(began) -> Sequence[dict[str, Any]]:
    return [dict(zip(SEED_COLUMNS, row, strict=True)) for row in people(COUNT, HASHED, first=1)]


def column(everybody: Sequence[dict[str, Any]], name: str) -> list[Any]:
    return [person[name] for person in everybody]


def test_the_requested_number_of_users_is_made(everybody):
    assert len(everybody) == COUNT


def test_the_columns_are_those_of_the_table_that_need_a_value():
    columns = User.__table__.columns
    required = {
        column.name for column in columns if not column.nullable and column.server_default is None
    } - {"id"}

    assert required <= set(SEED_COLUMNS) <= set(columns.keys())


def test_emails_are_unique_and_lower_case(everybody):
    emails = column(everybody, "email")

    assert len(set(emails)) == COUNT
    assert emails == [email.lower() for email in emails]


def test_usernames_are_unique_without_regard_to_case(everybody):
    assert len({username.lower() for username in column(everybody, "username")}) == COUNT


def test_later_seeded_users_differ_from_earlier_ones(everybody):
    later = [dict(zip(SEED_COLUMNS, row, strict=True)) for row in people(1000, HASHED, COUNT + 1)]

    for name in "email", "username":
        assert not set(column(everybody, name)) & set(column(later, name))


@pytest.mark.parametrize("first", [1, 9_999_999, 10**12 - 1_000])
def test_every_seeded_user_is_valid_for_sign_up(first):
    for row in people(1_000, HASHED, first):
        person = dict(zip(SEED_COLUMNS, row, strict=True))
        told = {name: person[name] for name in ("email", "username", "full_name")}

        user_in = UserCreate.model_validate(told | {"password": "irrelevant here"})

        assert user_in.model_dump(include=set(told)) == told


def test_all_seeded_users_have_the_same_password(everybody):
    assert set(column(everybody, "hashed_password")) == {HASHED}


def test_one_in_ten_is_inactive(everybody):
    share = column(everybody, "is_active").count(False) / COUNT

    assert share == pytest.approx(0.1, abs=0.01)


def test_one_in_two_hundred_is_a_superuser(everybody):
    share = column(everybody, "is_superuser").count(True) / COUNT

    assert share == pytest.approx(0.005, abs=0.002)


def test_they_signed_up_during_the_last_years_and_not_in_the_future(everybody, began):
    created = column(everybody, "created_at")

    assert max(created) <= datetime.now(UTC)
    assert min(created) >= began - timedelta(days=365 * YEARS)


def test_sign_ups_increase_over_time(everybody, began):
    ages = [
        (began - moment) / timedelta(days=365 * YEARS) for moment in column(everybody, "created_at")
    ]

    quarters = [sum(low <= age < low + 0.25 for age in ages) for low in (0.75, 0.5, 0.25, 0.0)]

    assert all(earlier < later for earlier, later in pairwise(quarters))


def test_updated_at_is_between_created_at_and_now(everybody):
    now = datetime.now(UTC)

    assert all(person["created_at"] <= person["updated_at"] <= now for person in everybody)


def test_moments_are_aware_and_utc(everybody):
    moments = column(everybody, "created_at") + column(everybody, "updated_at")

    assert {moment.tzinfo for moment in moments} == {UTC}


def test_the_same_number_gives_the_same_people_as_old_as_each_other():
    def since_the_first(moments: list[Any]) -> list[timedelta]:
        return [moment - moments[0] for moment in moments]

    once, again = (list(zip(*people(500, HASHED, first=7), strict=True)) for _ in range(2))

    assert once[:6] == again[:6]
    for earlier, later in zip(once[6:], again[6:], strict=True):
        assert since_the_first([*earlier]) == since_the_first([*later])

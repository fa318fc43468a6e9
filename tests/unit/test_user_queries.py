"""What lists of users ask: put together once, and never somebody else's question."""

from itertools import product
from typing import Any

from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security.signing import Position
from app.repositories.user import lists
from app.repositories.user.lists import Slice
from app.repositories.user.repository import UserRepository
from app.schemas.user_list import UserFilters

REPOSITORY = UserRepository(AsyncSession())  # it builds queries here and runs none
STATES = (None, True, False)
LISTS: list[dict[str, Any]] = [
    {
        "is_active": is_active,
        "is_superuser": is_superuser,
        "search": search,
        "sort_by": sort_by,
        "sort_order": sort_order,
    }
    for is_active, is_superuser, search, sort_by, sort_order in product(
        *(STATES, STATES, (None, "ada", "bob")),
        *(("created_at", "username", "email"), ("asc", "desc")),
    )
]


def test_a_repeated_list_request_uses_the_same_statement():
    for filters in LISTS:
        query, again = (REPOSITORY.get_filtered_users(**filters) for _ in range(2))
        order = UserFilters(**filters)

        assert query is again
        cases: list[tuple[Any, ...]] = [
            (lists.select_page,),
            (lists.select_page_and_count, order, 9),
            (lists.select_sorted_page_and_count, order, 9),
            (lists.sliced, order, Slice(50)),
            (lists.sliced, order, Slice(50, offset=50)),
            (lists.sliced, order, Slice(50, after=Position("2026-01-01", 7))),
        ]
        for statement, *values in cases:
            assert statement(query, *values) is statement(again, *values)


def test_a_page_further_on_is_the_same_statement_as_the_one_before():
    filters = UserFilters()
    query = REPOSITORY.get_filtered_users()
    for parts in (
        [Slice(50, offset=offset) for offset in (50, 100)],
        [Slice(50, after=Position(f"2026-01-0{day}", day)) for day in (1, 2)],
    ):
        one, other = (lists.select_page(lists.sliced(query, filters, part)) for part in parts)

        assert one is other
        assert lists._parameters(filters, parts[0]) != lists._parameters(filters, parts[1])


def test_a_first_page_has_no_parameters():
    for filters in LISTS:
        if filters["search"] is None:
            order = UserFilters(**filters)
            query = lists.sliced(REPOSITORY.get_filtered_users(**filters), order, Slice(50))
            counted = lists.select_page_and_count(query, order, 1001)
            for page in (lists.select_page(query), counted):
                compiled = page.compile(dialect=postgresql.dialect())

                assert not compiled.params
                assert "LIMIT 50" in str(compiled)


def test_no_two_lists_have_the_same_statement():
    asked = set()
    for filters in LISTS:
        query = REPOSITORY.get_filtered_users(**filters)
        compiled = query.compile(dialect=postgresql.dialect())
        asked.add((str(compiled), str(compiled.params)))

    assert len(asked) == len(LISTS)


def test_statements_of_lists_without_a_search_are_all_cached():
    plain = [filters for filters in LISTS if filters["search"] is None]
    sizes_and_what_follows = [*(25, 50), *(26, 51), "by number", "by cursor"]

    assert len(plain) * len(sizes_and_what_follows) <= lists.MAX_STATEMENTS

"""How the users table is shown: columns, density and size, in a URL and in a cookie."""

import pytest

from app.admin.listings.display import DEFAULT, Display
from app.admin.listings.users import UserListing
from app.services.user.totals import max_offset

WIDE = Display(columns=("username", "id", "role"), density="compact", size=100)


def test_the_username_comes_first_and_each_column_once():
    shown = Display(columns=("role", "username", "id", "role"))

    assert shown.columns == ("username", "role", "id")
    assert sorted(shown.offered) == sorted(DEFAULT.offered)
    assert shown.offered[:3] == ["username", "role", "id"]


def test_a_cookie_stores_the_choice_without_quotes():
    assert WIDE.cookie == "username.id.role|compact|100"
    assert Display.of_cookie(WIDE.cookie) == WIDE


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "|", "||", "|||", "id", "id|compact", "id|compact|100|1", "id|compact|1000"),
        *("id|tiny|25", "password|compact|25", "id.|compact|25", "id|compact|٢٥x"),
        *("|compact|25", ".".join(["id"] * 50) + "|compact|25", "id|compact|" + "9" * 5000),
    ],
)
def test_a_cookie_that_is_not_valid_is_as_none(value):
    assert Display.of_cookie(value) == DEFAULT


@pytest.mark.parametrize(
    ("column", "step", "columns"),
    [
        ("role", -1, ("role", "id", "state")),
        ("role", 1, ("id", "state", "role")),
        ("id", -1, ("id", "role", "state")),
        ("state", 1, ("id", "role", "state")),
        ("email", -1, ("id", "role", "state")),
        ("username", 1, ("id", "role", "state")),
    ],
)
def test_a_column_moves_by_one_place_and_not_past_the_ends(column, step, columns):
    shown = Display(columns=("id", "role", "state"))

    assert shown.moved(column, step).columns == ("username", *columns)


def test_the_url_comes_before_the_cookie_and_the_default_after_it():
    assert UserListing().display(WIDE) == WIDE
    assert UserListing(column=("email",)).display(WIDE).columns == ("username", "email")
    assert UserListing(density="comfortable", size=25).display(WIDE) == DEFAULT.model_copy(
        update={"columns": WIDE.columns}
    )


def test_a_further_page_has_the_size_of_its_url_in_each_browser():
    assert UserListing(page=2).display(WIDE).size == 25
    assert UserListing(page=2, size=50).display(WIDE).size == 50


def test_what_is_as_by_default_is_left_out_of_the_url():
    listing = UserListing(search="a", column=("id",), density="compact", size=50)

    assert listing.displayed(DEFAULT, DEFAULT).query == "search=a"
    assert listing.displayed(WIDE, DEFAULT).query == (
        "size=100&search=a&column=username&column=id&column=role&density=compact"
    )


def test_the_page_stays_unless_its_size_changes():
    listing = UserListing(page=3)

    assert listing.displayed(WIDE.model_copy(update={"size": 25}), WIDE).page == 3
    assert listing.displayed(WIDE, DEFAULT).page == 1


def test_a_list_without_filters_keeps_its_order_and_its_display():
    query = (
        "size=50&sort_by=email&is_active=false&role=a1&search=a&column=id&density=compact&page=2"
    )
    listing = UserListing.of_query(query)

    assert listing is not None
    assert listing.cleared.query == (
        "size=50&sort_by=email&column=username&column=id&density=compact"
    )


def test_the_last_page_is_reached_within_the_bound_of_offsets():
    listing = UserListing(sort_by="username", size=100)
    last = max_offset("username") // 100 + 1

    assert listing.reaches(last)
    assert not listing.reaches(last + 1)


def test_a_list_is_the_same_however_it_is_shown_unless_it_says_how():
    plain, dense = UserListing(search="a"), UserListing(search="a", density="compact")

    assert plain.is_part_of(dense.at(2))
    assert not dense.is_part_of(plain)
    assert not UserListing().is_part_of(plain)
    assert UserListing(size=50).is_plain

"""Which passwords are refused."""

import pytest

from app.core.passwords import COMMON, weakness

EMAIL, USERNAME = "ada@example.com", "countess"


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "zq8#Lm2!",
        "x" * 8,
        "日本語の合言葉です",
        "ada@example.com!",
        "countess of lovelace",
        "  leading and trailing  ",
        "x" * 256,
    ],
)
def test_a_password_that_is_not_easily_guessed_may_be_used(password):
    assert weakness(password, 8, EMAIL, USERNAME) is None


@pytest.mark.parametrize(("password", "length"), [("", 1), ("abcdefg", 8), ("é" * 11, 12)])
def test_a_short_password_is_refused_with_the_length_it_needs(password, length):
    assert weakness(password, length) == f"should have at least {length} characters"


@pytest.mark.parametrize("password", ["é" * 8, "🔑" * 8])
def test_length_counts_characters_and_not_bytes(password):
    assert weakness(password, 8) is None
    assert weakness(password, 9) is not None


@pytest.mark.parametrize("password", ["password", "PASSWORD", "PassWord1", "12345678", "iloveyou"])
def test_a_common_password_is_refused_however_it_is_written(password):
    assert weakness(password, 8) == "is one of the most common passwords"


@pytest.mark.parametrize("password", [EMAIL, EMAIL.upper(), USERNAME, "CountesS"])
def test_a_password_that_everybody_knows_is_refused(password):
    assert weakness(password, 8, EMAIL, USERNAME) == "should not be the email or username"


def test_what_is_not_known_refuses_nothing():
    assert weakness("countess", 8, "", EMAIL) is None
    assert weakness("", 0, "") is None


def test_the_list_is_long_enough_and_lower_case():
    assert len(COMMON) >= 3000
    assert all(password == password.lower() for password in COMMON)

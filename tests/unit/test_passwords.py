"""Which passwords are refused."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from secrets import token_urlsafe
from time import thread_time
from timeit import timeit

import pytest

from app.core.security.passwords.rules import COMMON, _is_listed, weakness

EMAIL, USERNAME = "ada@example.com", "countess"


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "zq8#Lm2!",
        "日本語の合言葉です",
        "countess of lovelace",
        "  leading and trailing  ",
        "monkey-48205719374",
        "expert power tree",
        "Tr0ub4dor&3",
        "zq8#Lm2!" * 32,
    ],
)
def test_a_password_that_is_not_easily_guessed_may_be_used(password):
    assert weakness(password, 8, EMAIL, USERNAME) is None


@pytest.mark.parametrize(("password", "length"), [("", 1), ("abcdefg", 8), ("é" * 11, 12)])
def test_a_short_password_is_refused_with_the_length_it_needs(password, length):
    assert weakness(password, length) == f"should have at least {length} characters"


@pytest.mark.parametrize("password", ["éàüöñçßø", "🔑🎷🐢🌋🥐🧲🪁🎲", "e\u0301àüöñçßø"])
def test_length_counts_characters_and_not_bytes(password):
    assert weakness(password, 8) is None
    assert weakness(password, 9) is not None


@pytest.mark.parametrize("password", ["a" + " " * 14, " " * 14 + "a", "x" + "\u3000" * 20])
@pytest.mark.parametrize("length", [8, 15])
def test_s17_a_password_of_spaces_but_for_a_character_is_refused(password, length):
    assert weakness(password, length) == "should not be mostly spaces"


@pytest.mark.parametrize(
    "password",
    [
        *("password", "PASSWORD", "PassWord1", "12345678", "iloveyou", "i love you"),
        *("p a s s w o r d", "Password2026!!!!", "passwordpassword1"),
    ],
)
def test_a_common_password_is_refused_however_it_is_written(password):
    assert weakness(password, 8) == "is one of the most common passwords"


@pytest.mark.parametrize(
    "password",
    [
        *(EMAIL, EMAIL.upper(), USERNAME, "CountesS", "count ess", f"{EMAIL}!", "Countess2026"),
        *("example.com", "Example2026!", "FineWidgets", "fine widgets 123"),
    ],
)
def test_a_well_known_password_is_refused(password):
    assert weakness(password, 8, EMAIL, USERNAME, "Fine Widgets") == (
        "should not be the email, a name of the user or the name of the service"
    )


@pytest.mark.parametrize(
    "password",
    [
        *(
            "00000000",
            "aaaaaaaa",
            "éééééééé",
            "🔑🔑🔑🔑🔑🔑🔑🔑",
            "123123123",
            "abab" * 64,
            "x" * 256,
        ),
        *("87654321", "98765432", "abcdefgh", "ZYXWVUTS", "qwertyuiop", "poiuytrewq", "asdfghjkl"),
        *("1qaz2wsx3edc", "abcdefgh12345678", "aaaabbbbccccdddd", "abcabcabc1", "qwertyqwerty"),
        *("qwertzuiop", " a b c d e f g h ", "1" * 100 + "2", "aaa111bbb222"),
    ],
)
def test_s17_a_predictable_password_of_any_length_is_refused(password):
    """S17: repetitions, sequences and rows of keys, also where eight characters are enough."""
    assert weakness(password, 8) is not None


@pytest.mark.parametrize("blank", [" " * 8, "\u3000" * 15, "\u00a0 \u200d" * 5])
def test_s17_a_password_of_spaces_is_refused(blank):
    assert weakness(blank, 8) == "should not be mostly spaces"


def test_s17_few_passwords_that_were_made_at_random_are_refused():
    refused = sum(weakness(token_urlsafe(12), 15) is not None for _ in range(2000))

    assert refused <= 2


@pytest.mark.parametrize("text", ["ab", "x", "1q", "abc", "correct horse ", "aaaaaaab"])
def test_the_cost_grows_with_the_length_and_no_faster(text):
    def cost(length: int) -> float:
        password = (text * length)[:length] + "!"
        work = partial(weakness, password, 8, EMAIL)
        return min(timeit(work, timer=thread_time, number=3) for _ in range(5))

    assert cost(16_000) < 40 * cost(1_000)


def test_an_unknown_name_refuses_no_password():
    assert weakness("countess", 8, "", EMAIL) is None
    assert weakness("", 0, "") is None


def test_the_list_is_long_enough_and_lower_case():
    package = find_spec("zxcvbn")
    assert package is not None
    assert package.origin is not None
    lists = run_path(str(Path(package.origin).with_name("frequency_lists.py")))
    passwords = [one for text in COMMON.values() for one in text.strip(",").split(",")]

    assert sorted(passwords) == sorted(lists["FREQUENCY_LISTS"]["passwords"])
    assert all(map(_is_listed, passwords))
    assert len(passwords) >= 3000
    assert all(password == password.lower() for password in passwords)


@pytest.mark.parametrize(
    "password",
    ["tarwars", "laster", "rustn", "trustno1,", ",trustno1", "trustno1,password", ",", ""],
)
def test_what_is_only_like_a_password_of_the_list_is_none_of_it(password):
    assert _is_listed("trustno1")
    assert not _is_listed(password)


def test_several_passwords_of_the_list_are_none_of_it():
    listed = COMMON[8].strip(",")

    assert not any(_is_listed(listed[:length]) for length in range(9, 300))

"""Cursors: opaque, signed, and of one list."""

import base64
from urllib.parse import quote

import pytest

from app.core.exceptions import ValidationException
from app.core.security.signing import CursorSigner, Position

SIGNER = CursorSigner("k" * 32)
POSITION = Position("ada\x00 \ud800 日本", 2**63 - 1)
CURSOR = SIGNER.sign(POSITION, "users by email")


def test_a_cursor_gives_the_position_it_was_made_of():
    assert SIGNER.read(CURSOR, "users by email") == POSITION


def test_a_cursor_fits_into_a_query_as_it_is():
    assert quote(CURSOR, safe="") == CURSOR


@pytest.mark.parametrize("at", range(len(CURSOR)))
def test_a_cursor_with_one_character_changed_is_refused(at):
    other = "B" if CURSOR[at] == "A" else "A"

    with pytest.raises(ValidationException):
        SIGNER.read(CURSOR[:at] + other + CURSOR[at + 1 :], "users by email")


@pytest.mark.parametrize(
    "changed",
    [
        "",
        "A",
        CURSOR[:-1],
        CURSOR + "A",
        CURSOR + "=",
        CURSOR + "\n",
        " " + CURSOR,
        CURSOR.lower(),
        CURSOR * 2,
        "\x00",
        "\ud800",
        "日本",
        "[" * 1000,
        base64.urlsafe_b64encode(b'["ada",1]').decode(),
    ],
)
def test_an_invalid_cursor_is_refused(changed):
    with pytest.raises(ValidationException) as refusal:
        SIGNER.read(changed, "users by email")

    assert [detail["field"] for detail in refusal.value.details] == ["cursor"]


def test_a_cursor_of_another_list_is_refused():
    with pytest.raises(ValidationException):
        SIGNER.read(CURSOR, "users by username")


def test_a_cursor_signed_with_another_key_is_refused():
    with pytest.raises(ValidationException):
        SIGNER.read(CursorSigner("other" * 8).sign(POSITION, "users by email"), "users by email")

"""Tokens of links in mails are derived from the ids of their rows."""

from uuid import UUID, uuid4

from app.core.security.one_time_tokens import OneTimeTokenDeriver, hash_of

ID = UUID("6ad4b1f5-3a46-4e6b-8f5c-6f1a7d0c1e11")


def test_a_token_has_256_bits_and_is_the_same_for_the_same_row():
    tokens = OneTimeTokenDeriver("k" * 32)

    assert len(tokens.new(ID)) == 43
    assert tokens.new(ID) == tokens.new(ID)
    assert len({tokens.new(uuid4()) for _ in range(1000)}) == 1000


def test_a_token_of_an_older_key_is_derived_again_while_the_key_is_accepted():
    old = OneTimeTokenDeriver("o" * 32).new(ID)

    rotated = OneTimeTokenDeriver("n" * 32, ["o" * 32])
    assert rotated.again(ID, hash_of(old)) == old
    assert rotated.new(ID) != old
    assert OneTimeTokenDeriver("n" * 32).again(ID, hash_of(old)) is None

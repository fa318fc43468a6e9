"""Codes of second factors, and the encryption of their secrets."""

import base64
import re

import pytest

from app.core.security.mfa.recovery_codes import new_recovery_codes, recovery_code_hash
from app.core.security.mfa.totp import matching_step, new_secret, provisioning_uri
from app.core.security.sealing import ContentCipher

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_6238 = [
    (59, "94287082", 1),
    (1111111109, "07081804", 37037036),
    (1111111111, "14050471", 37037037),
    (1234567890, "89005924", 41152263),
    (2000000000, "69279037", 66666666),
    (20000000000, "65353130", 666666666),
]
"""Appendix B, SHA-1: time, eight digits, time step. Six digits are the last of eight."""


@pytest.mark.parametrize(("moment", "digits", "step"), RFC_6238)
def test_the_vectors_of_rfc_6238_are_accepted(moment, digits, step):
    assert matching_step(RFC_SECRET, digits[2:], moment) == step


@pytest.mark.parametrize(("steps", "is_accepted"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_clocks_may_differ_by_one_step(steps, is_accepted):
    moment, digits, step = RFC_6238[3]

    found = matching_step(RFC_SECRET, digits[2:], moment - 30 * steps)

    assert found == (step if is_accepted else None)


@pytest.mark.parametrize(
    "code", ["", "00592", "0059244", "89005924", "٠٠٥٩٢٤", "00592x", "-05924", "005924\x00"]
)
def test_what_is_no_code_is_refused(code):
    assert matching_step(RFC_SECRET, code, 1234567890) is None


def test_a_code_may_be_typed_with_a_space():
    assert matching_step(RFC_SECRET, " 005 924 ", 1234567890) == 41152263


def test_a_secret_has_160_bits_and_is_never_the_same():
    first, second = new_secret(), new_secret()

    assert len(base64.b32decode(first)) == 20
    assert first != second


def test_the_uri_names_service_and_account():
    uri = provisioning_uri(RFC_SECRET, "ada@example.com", "Acme & Co")

    assert uri.startswith("otpauth://totp/Acme%20%26%20Co:ada%40example.com?secret=")


def test_ten_recovery_codes_have_80_bits_each():
    codes = new_recovery_codes()

    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"(?:[A-Z2-7]{4}-){3}[A-Z2-7]{4}", code) for code in codes)


def test_a_recovery_code_is_recognised_however_it_is_typed():
    hashed = recovery_code_hash(1, "ABIO-EFGH-IJKL-MNOP")

    assert hashed is not None
    assert recovery_code_hash(1, " ab10 efgh-ijklmnop") == hashed
    assert recovery_code_hash(2, "ABIO-EFGH-IJKL-MNOP") != hashed


@pytest.mark.parametrize("code", ["", "123456", "ABCD-EFGH-IJKL-MNO", "ABCD-EFGH-IJKL-MNO9", "é"])
def test_what_is_no_recovery_code_has_no_hash(code):
    assert recovery_code_hash(1, code) is None


def test_each_purpose_has_a_key_of_its_own():
    secrets, content = ContentCipher("k" * 32, purpose="totp"), ContentCipher("k" * 32)

    assert content.unseal(secrets.seal(b"x")) is None
    assert secrets.key_id != content.key_id


def test_a_key_id_follows_from_the_key_in_use():
    old, new = ContentCipher("o" * 32, purpose="totp"), ContentCipher("n" * 32, ["o" * 32], "totp")

    assert new.unseal(old.seal(b"x")) == b"x"
    assert old.unseal(new.seal(b"x")) is None
    assert re.fullmatch(r"[0-9a-f]{8}", new.key_id)
    assert new.key_id != old.key_id == ContentCipher("o" * 32, purpose="totp").key_id

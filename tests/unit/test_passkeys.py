"""Ceremonies of passkeys: the W3C's test vectors, challenges, and settings."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.core.config import SettingsError, load_settings
from app.core.security import base64url
from app.core.security.mfa.challenges import (
    LIFETIME,
    CeremonyRefused,
    Challenge,
    ChallengeSigner,
)
from app.core.security.mfa.relying_party import RelyingParty

VECTORS = json.loads(Path(__file__).with_name("webauthn_vectors.json").read_text())
KEY = "k" * 32


class KnownChallenge(ChallengeSigner):
    """Accepts the one challenge of a vector, which nobody has signed."""

    def __init__(self, challenge: bytes) -> None:
        super().__init__(KEY)
        self._challenge = challenge

    def read(self, challenge: bytes, purpose: str) -> Challenge | None:
        return Challenge(b"", datetime.now(UTC)) if challenge == self._challenge else None


def raw(vector: dict[str, str], name: str) -> str:
    return base64url.encode(bytes.fromhex(vector[name]))


def party_of(vector: dict[str, str], rp_id: str = "example.org") -> RelyingParty:
    challenges = KnownChallenge(bytes.fromhex(vector["challenge"]))
    return RelyingParty(rp_id, "Test", ["https://example.org"], challenges)


def credential_of(vector: dict[str, str], **response: str) -> dict[str, Any]:
    name = raw(vector, "credential_id")
    sent = {"clientDataJSON": raw(vector, "client_data"), **response}
    return {"id": name, "rawId": name, "type": "public-key", "response": sent}


@pytest.mark.parametrize("name", VECTORS["registrations"])
def test_the_registrations_of_the_w3c(name):
    vector = VECTORS["registrations"][name]
    credential = credential_of(vector, attestationObject=raw(vector, "attestation"))
    if "not verified" in name:
        with pytest.raises(CeremonyRefused, match="User verification is required"):
            party_of(vector).registered(credential, "")
        return

    passkey, _ = party_of(vector).registered(credential, "")

    assert passkey.credential_id == bytes.fromhex(vector["credential_id"])
    assert passkey.is_backup_eligible
    assert passkey.is_backed_up


def sign_in_of(vector: dict[str, str], **changed: str) -> dict[str, Any]:
    parts = {"authenticatorData": "authenticator_data", "signature": "signature"}
    response = {name: raw(vector, part) for name, part in parts.items()}
    return credential_of(vector, **(response | changed))


@pytest.mark.parametrize("name", VECTORS["authentications"])
def test_the_authentications_of_the_w3c(name):
    vector = VECTORS["authentications"][name]
    key = bytes.fromhex(vector["public_key"])
    if "not verified" in name:
        with pytest.raises(CeremonyRefused, match="User verification is required"):
            party_of(vector).signed_in(sign_in_of(vector), 1, key)
        return

    use, _ = party_of(vector).signed_in(sign_in_of(vector), 1, key)

    assert use.sign_count == 0
    assert not use.is_backed_up


@pytest.mark.parametrize(
    ("changed", "rp_id"),
    [
        ({"signature": "AAAA"}, "example.org"),
        ({"authenticatorData": "AAAA"}, "example.org"),
        ({"clientDataJSON": "e30"}, "example.org"),
        ({"clientDataJSON": "_w"}, "example.org"),
        ({"userHandle": "AAAAAAAAAAI"}, "example.org"),
        ({}, "example.com"),
    ],
)
def test_an_authentication_that_was_changed_is_refused(changed, rp_id):
    vector = VECTORS["authentications"]["packed-es256"]
    key = bytes.fromhex(vector["public_key"])

    with pytest.raises(CeremonyRefused):
        party_of(vector, rp_id).signed_in(sign_in_of(vector, **changed), 1, key)


def test_a_challenge_is_valid_for_its_purpose_and_five_minutes(monkeypatch):
    signer = ChallengeSigner(KEY)
    challenge = signer.new("sign in")

    assert signer.read(challenge, "sign in")
    assert signer.read(challenge, "register") is None
    assert signer.read(bytes([challenge[0] ^ 1]) + challenge[1:], "sign in") is None
    assert signer.read(challenge[:-1], "sign in") is None
    assert signer.read(b"", "sign in") is None
    monkeypatch.setattr("app.core.security.mfa.challenges.LIFETIME", -1)
    assert signer.read(signer.new("sign in"), "sign in") is None
    assert LIFETIME == 300


def test_a_challenge_outlives_a_change_of_the_key_while_that_is_accepted():
    challenge = ChallengeSigner("o" * 32).new("sign in")

    assert ChallengeSigner("n" * 32, ["o" * 32]).read(challenge, "sign in")
    assert ChallengeSigner("n" * 32).read(challenge, "sign in") is None


@pytest.mark.parametrize(
    ("rp_id", "origins"),
    [
        ("example.com", ""),
        ("Example.com", "https://example.com, https://app.example.com:8443"),
        ("localhost", "http://localhost:8000"),
        ("xn--mnchen-3ya.de", "https://xn--mnchen-3ya.de"),
    ],
)
def test_origins_at_the_domain_are_accepted(monkeypatch, rp_id, origins):
    monkeypatch.setenv("AUTH_PASSKEY_RP_ID", rp_id)
    monkeypatch.setenv("AUTH_PASSKEY_ORIGINS", origins)

    assert load_settings().passkey_rp_id == rp_id.lower()


@pytest.mark.parametrize(
    ("rp_id", "origins", "named"),
    [
        ("https://example.com", "", "AUTH_PASSKEY_RP_ID"),
        ("example.com:443", "", "AUTH_PASSKEY_RP_ID"),
        ("127.0.0.1", "", "AUTH_PASSKEY_RP_ID"),
        ("com", "", "AUTH_PASSKEY_RP_ID"),
        ("", "https://example.com", "AUTH_PASSKEY_RP_ID: must be set"),
        ("example.com", "https://example.org", "AUTH_PASSKEY_ORIGINS: item 1"),
        ("example.com", "https://example.com,https://evil-example.com", "item 2"),
        ("app.example.com", "https://example.com", "AUTH_PASSKEY_ORIGINS: item 1"),
        ("example.com", "http://example.com", "AUTH_PASSKEY_ORIGINS: item 1"),
        ("example.com", "*", "AUTH_PASSKEY_ORIGINS: item 1"),
    ],
)
def test_what_no_browser_would_accept_stops_the_start(monkeypatch, rp_id, origins, named):
    monkeypatch.setenv("AUTH_PASSKEY_RP_ID", rp_id)
    monkeypatch.setenv("AUTH_PASSKEY_ORIGINS", origins)

    with pytest.raises(SettingsError, match=named):
        load_settings()


def test_without_a_domain_there_are_passkeys_in_development_only(monkeypatch):
    settings = load_settings()

    assert settings.passkey_rp_id == "localhost"
    assert settings.replaced(app={"environment": "production"}).passkey_rp_id is None

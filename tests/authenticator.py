"""An authenticator of passkeys in software, and the browser in front of it."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from app.core.security import base64url
from tests.conftest import Person

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
ORIGIN = "http://localhost:8000"
PASSKEYS = "/users/me/passkeys"


@dataclass
class Authenticator:
    """Holds one passkey, a P-256 key.

    Attributes:
        flags: what it says of its user and of backups.
        sign_count: grows with each signature where it is not 0.
    """

    flags: int = UP | UV
    sign_count: int = 0
    origin: str = ORIGIN
    rp_id: str = "localhost"
    cross_origin: bool = False
    id: bytes = field(default_factory=lambda: token_bytes(32))
    user_handle: str | None = None
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create()` returns, as JSON."""
        self.user_handle = options["user"]["id"]
        point = self._key.public_key().public_numbers()
        x, y = point.x.to_bytes(32), point.y.to_bytes(32)
        public_key = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + public_key
        data = self._data(AT) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": base64url.encode(self._client_data("webauthn.create", options)),
            "attestationObject": base64url.encode(attestation),
            "transports": ["internal"],
        }
        return self._credential(response)

    def get(self, options: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """What `navigator.credentials.get()` returns, as JSON."""
        if self.sign_count:
            self.sign_count += 1
        client_data, data = self._client_data("webauthn.get", options), self._data()
        signed = data + sha256(client_data).digest()
        response = {
            "clientDataJSON": base64url.encode(client_data),
            "authenticatorData": base64url.encode(data),
            "signature": base64url.encode(self._key.sign(signed, ec.ECDSA(SHA256()))),
            "userHandle": self.user_handle,
        }
        return self._credential(response | changed)

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        name = base64url.encode(self.id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        data = {
            "type": kind,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        }
        return json.dumps(data).encode()

    def _data(self, flags: int = 0) -> bytes:
        rp = sha256(self.rp_id.encode()).digest()
        return rp + bytes([self.flags | flags]) + self.sign_count.to_bytes(4)


async def registration_options(person: Person) -> dict[str, Any]:
    response = await person.post(f"{PASSKEYS}/options")
    assert response.status_code == 200, response.text
    options: dict[str, Any] = response.json()
    return options


async def register(person: Person, authenticator: Authenticator, name: str = "Phone") -> Any:
    """Register a passkey; returns the answer."""
    credential = authenticator.create(await registration_options(person))
    return await person.post(PASSKEYS, json={"name": name, "credential": credential})


async def sign_in_options(person: Person) -> dict[str, Any]:
    response = await person.client.post("/api/v1/auth/passkey/options")
    assert response.status_code == 200, response.text
    options: dict[str, Any] = response.json()
    return options


async def log_in(person: Person, credential: dict[str, Any]) -> Any:
    return await person.client.post("/api/v1/auth/passkey", json={"credential": credential})

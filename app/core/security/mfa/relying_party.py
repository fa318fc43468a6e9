"""`RelyingParty`: the ceremonies of passkeys (WebAuthn), by the library `webauthn`.

No module imports this one directly: `RelyingPartyLoader` does at the first ceremony.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import webauthn
from webauthn.helpers import parse_client_data_json
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.core.security import base64url
from app.core.security.mfa.challenges import (
    LIFETIME,
    CeremonyRefused,
    Challenge,
    ChallengeSigner,
)

SIGN_IN = "sign in"
"""Purpose of challenges that a passkey answers, for a login or a confirmation."""
_LOCAL = re.compile(r"https?://localhost(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A passkey that was registered."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: UUID
    is_backup_eligible: bool
    is_backed_up: bool


@dataclass(frozen=True, slots=True)
class PasskeyUse:
    """A valid answer of a passkey."""

    sign_count: int
    is_backed_up: bool


class RelyingParty:
    """Issues options for browsers, and verifies what they return. User verification is required:
    a passkey stands for two factors.

    Args:
        rp_id: the domain that passkeys are bound to.
        name: of the service.
        origins: of the pages that may use them. Empty: those of `rp_id` over https; where it is
            localhost, of any port.
        challenges: issues and verifies challenges.
    """

    def __init__(
        self, rp_id: str, name: str, origins: Sequence[str], challenges: ChallengeSigner
    ) -> None:
        self.rp_id = rp_id
        self._name = name
        self._origins = list(origins)
        self._challenges = challenges

    def registration_options(
        self, user_id: int, username: str, purpose: str, known: Sequence[bytes]
    ) -> dict[str, Any]:
        """Options for `navigator.credentials.create()`, as JSON.

        Args:
            user_id: the user, who is named by it in the authenticator.
            username: shown by the authenticator.
            purpose: of the challenge.
            known: ids of the user's passkeys, whose authenticators are left out.
        """
        options = webauthn.generate_registration_options(
            rp_id=self.rp_id,
            rp_name=self._name,
            user_id=user_handle(user_id),
            user_name=username,
            challenge=self._challenges.new(purpose),
            timeout=LIFETIME * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        )
        return options_to_json_dict(options)

    def sign_in_options(self) -> dict[str, Any]:
        """Options for `navigator.credentials.get()`, as JSON, the same for every user."""
        options = webauthn.generate_authentication_options(
            rp_id=self.rp_id,
            challenge=self._challenges.new(SIGN_IN),
            timeout=LIFETIME * 1000,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json_dict(options)

    def registered(self, credential: dict[str, Any], purpose: str) -> tuple[NewPasskey, Challenge]:
        """The passkey in a browser's response.

        Raises:
            CeremonyRefused: see there.
        """
        challenge, expected = self._expected(credential, purpose)
        try:
            verified = webauthn.verify_registration_response(
                credential=credential, require_user_verification=True, **expected
            )
            aaguid = UUID(verified.aaguid)
        except Exception as error:  # the library and those below it raise far more than their own
            raise _refusal(error) from error
        passkey = NewPasskey(
            verified.credential_id,
            verified.credential_public_key,
            verified.sign_count,
            aaguid,
            verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
            verified.credential_backed_up,
        )
        return passkey, challenge

    def signed_in(
        self, credential: dict[str, Any], user_id: int, public_key: bytes
    ) -> tuple[PasskeyUse, Challenge]:
        """A passkey's answer to a challenge of `sign_in_options`.

        The caller compares the sign count: the library would refuse one that does not grow, which
        synchronised passkeys and restored devices have.

        Args:
            credential: the browser's response.
            user_id: the passkey's user.
            public_key: the passkey's.

        Raises:
            CeremonyRefused: see there.
        """
        challenge, expected = self._expected(credential, SIGN_IN)
        handle = credential["response"].get("userHandle")
        if handle is not None and handle != base64url.encode(user_handle(user_id)):
            raise CeremonyRefused("the passkey is of another user")
        try:
            verified = webauthn.verify_authentication_response(
                credential=credential,
                credential_public_key=public_key,
                credential_current_sign_count=0,
                require_user_verification=True,
                **expected,
            )
        except Exception as error:  # the same
            raise _refusal(error) from error
        use = PasskeyUse(verified.new_sign_count, verified.credential_backed_up)
        return use, challenge

    def _expected(
        self, credential: dict[str, Any], purpose: str
    ) -> tuple[Challenge, dict[str, Any]]:
        """The challenge of a response, and what the library compares."""
        try:
            sent = base64url.decode(credential["response"]["clientDataJSON"])
            client = parse_client_data_json(sent)
            challenge = self._challenges.read(client.challenge, purpose)
        except Exception as error:  # the same
            raise _refusal(error) from error
        if challenge is None:
            raise CeremonyRefused("the challenge is not valid")
        if client.cross_origin:
            raise CeremonyRefused("in a frame of another site")
        return challenge, {
            "expected_challenge": client.challenge,
            "expected_rp_id": self.rp_id,
            "expected_origin": self._allowed(client.origin),
        }

    def _allowed(self, origin: object) -> list[str]:
        if self._origins:
            return self._origins
        # A developer's own machine, whatever the port.
        if self.rp_id == "localhost" and _LOCAL.fullmatch(str(origin)):
            return [str(origin)]
        return [f"https://{self.rp_id}"]


def _refusal(error: Exception) -> CeremonyRefused:
    """Without the `repr` of the error, which may contain all that was sent."""
    return CeremonyRefused(f"{type(error).__name__}: {error}")


def user_handle(user_id: int) -> bytes:
    """The user in an authenticator: no name and no address."""
    return user_id.to_bytes(8)

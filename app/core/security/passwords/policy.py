"""`PasswordPolicy`: whether an account may get a password."""

from app.core.security.passwords.breaches import BreachedPasswords
from app.core.security.passwords.rules import weakness

BREACHED = "is known from a breach of another site"


class PasswordPolicy:
    """The rules of this service.

    Args:
        breaches: knows breached passwords.
        min_length: in characters.
        app_name: name of the service, which is refused as a password.
    """

    def __init__(self, breaches: BreachedPasswords, min_length: int, app_name: str) -> None:
        self._breaches = breaches
        self._min_length = min_length
        self._app_name = app_name

    def weakness(self, password: str, *names: str | None) -> str | None:
        """The reason to refuse a password, without asking another service; None if there is none.

        Args:
            password: as submitted.
            names: the account's email, username and full name.
        """
        return weakness(password, self._min_length, *filter(None, names), self._app_name)

    async def refusal(self, password: str, *names: str | None) -> str | None:
        """`weakness`, or that the password is known from a breach. Call it without a database
        connection."""
        if reason := self.weakness(password, *names):
            return reason
        return BREACHED if await self._breaches.contain(password) else None

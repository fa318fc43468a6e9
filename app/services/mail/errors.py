"""Mail errors: `MailRefusedError` (permanent) and `MailDeferredError` (temporary)."""


class MailError(Exception):
    """A mail was not accepted. The message is for administrators, and names no recipient."""


class MailRefusedError(MailError):
    """The mail can never be accepted: sending it again is of no use."""


class MailDeferredError(MailError):
    """The mail was not accepted at this moment; `advice` says what an administrator can do."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.advice = advice

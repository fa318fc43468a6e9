"""Addresses of the pages that links in mails lead to."""

from urllib.parse import urlencode

from app.core.config import Settings
from app.schemas.account import Purpose

_PATHS = {
    Purpose.PASSWORD_RESET: "/account/password-reset",
    Purpose.EMAIL_VERIFICATION: "/account/email-verification",
    Purpose.EMAIL_CHANGE: "/account/email-change",
    Purpose.EMAIL_CHANGE_UNDO: "/account/email-change-undo",
    Purpose.INVITATION: "/account/invitation",
    Purpose.DELETION_UNDO: "/account/deletion-undo",
}


def link(settings: Settings, purpose: Purpose, token: str) -> str:
    """The link with a token. The log has paths only, without the query."""
    return f"{settings.link_base_url}{_PATHS[purpose]}?{urlencode({'token': token})}"

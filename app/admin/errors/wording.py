"""Plain words for errors: what was wrong with a value, how long to wait, and what to do."""

import re
from collections.abc import Mapping
from typing import Any

from app.admin.translation import N_, Translation

ADVICE = {
    403: "Go back, or ask a superuser for a role that allows it.",
    404: "The address may be wrong. It may have been deleted.",
    408: "Send it again; a smaller file arrives sooner.",
    409: "It was changed meanwhile: reload the page, and look at it first.",
    422: "Correct the address, or begin with the view itself.",
    429: "Other pages may count towards the same limit.",
    500: "The error was logged. Tell the operator of the service the number of the request below.",
    503: "A service that this page needs is down or busy. Try again in a moment.",
    504: "The service took too long. Look whether the change was made before you send it again.",
}
"""What to do, by status."""
_PLAIN = (
    (r"Field required", "is missing"),
    (r"Extra inputs are not permitted", "is unknown"),
    (r".*valid (?:integer|number)\b.*", "should be a whole number"),
    (r".*valid boolean\b.*", "should be true or false"),
    (r".*valid UUID\b.*", "is not an id"),
    (r".*valid (?:string|text)\b.*", "should be text"),
    (r".*match pattern .*", "has characters that are not allowed"),
    (r"\w+ should (?:be less than|have less than) or equal to (\S+)", r"should be \1 or less"),
    (r"\w+ should be greater than or equal to (\S+)", r"should be \1 or more"),
    (r"Value error, (.*)", r"\1"),
    (r"(?:Input|String|Value|List|URL|Data) (should .*?)(?: after validation, not \d+)?", r"\1"),
)
"""Sentences of pydantic as patterns, each with plain words."""
SENTENCES = (
    N_("is missing"),
    N_("is unknown"),
    N_("is not an id"),
    N_("should be true or false"),
    N_("should be text"),
    N_("has characters that are not allowed"),
    N_("should be %(limit)s or less"),
    N_("should be %(limit)s or more"),
    N_("should have at least %(count)s character"),
    N_("should have at least %(count)s characters"),
    N_("should have at least %(count)s item"),
    N_("should have at least %(count)s items"),
    N_("should have at most %(count)s character"),
    N_("should have at most %(count)s characters"),
    N_("should have at most %(count)s item"),
    N_("should have at most %(count)s items"),
    N_("should be %(choices)s"),
    N_("not a valid email address"),
)
"""What `plain` makes of them, for translators."""
OF_SERVICES = (
    N_("The admin who began it may not do this any more, or their session was ended"),
    N_("Invitation not found"),
    N_("Passkey not found"),
    N_("Role not found"),
    N_("SavedView not found"),
    N_("User not found"),
    N_("The invitation is accepted"),
    N_("The invitation is expired"),
    N_("The invitation is revoked"),
    N_("The body should be application/x-www-form-urlencoded or multipart/form-data"),
)
"""Messages of services whose part is a word of the code, each as a whole."""


def plain(message: str) -> str:
    """A message in plain words: `should be 1 or more`."""
    for pattern, words in _PLAIN:
        if found := re.fullmatch(pattern, message):
            return found.expand(words).replace("'", "")
    return message


def waiting(retry_after: str | None, words: Translation) -> str:
    """`Try again in 43 seconds`, for the value of a `Retry-After` header."""
    count = int(retry_after or 1)
    sentence = words.ngettext(
        "Try again in %(count)s second", "Try again in %(count)s seconds", count
    )
    if count >= 90:
        count = -(-count // 60)
        sentence = words.ngettext(
            "Try again in %(count)s minute", "Try again in %(count)s minutes", count
        )
    return sentence % {"count": count}


def in_words(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str], words: Translation
) -> dict[str, Any]:
    """An error's body for a page, in its language."""
    details = [
        {**detail, "message": words.translated(plain(detail["message"]))}
        for detail in body["details"]
    ]
    message = words.translated(body["message"])
    if status == 429:
        message = f"{message}. {waiting(headers.get('Retry-After'), words)}"
    return {**body, "message": message, "details": details}

"""Plain words for errors: what was wrong with a value, how long to wait, and what to do."""

import re
from collections.abc import Mapping
from typing import Any

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


def plain(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """A detail whose message is in plain words: `should be 1 or more`."""
    message: str = detail["message"]
    for pattern, words in _PLAIN:
        if found := re.fullmatch(pattern, message):
            return {**detail, "message": found.expand(words).replace("'", "")}
    return detail


def waiting(retry_after: str | None) -> str:
    """`Try again in 43 seconds`, for the value of a `Retry-After` header."""
    seconds = int(retry_after or 1)
    if seconds < 90:
        return f"Try again in {seconds} second{'s' if seconds != 1 else ''}"
    return f"Try again in {-(-seconds // 60)} minutes"


def in_words(status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """An error's body for a page."""
    shown = {**body, "details": [plain(detail) for detail in body["details"]]}
    if status == 429:
        shown["message"] = f"{shown['message']}. {waiting(headers.get('Retry-After'))}"
    return shown

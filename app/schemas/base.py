"""Types that more than one schema is made of."""

import re
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from app.core.security import MAX_PASSWORD_LENGTH

MAX_BIGINT = 2**63 - 1
_USERNAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{2,31}$"
_USERNAME_IN_WORDS = "3 to 32 letters, digits, dots, hyphens or underscores"


def _email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False, strict=True).normalized.lower()
    except EmailNotValidError:
        # The library's messages quote the address, which a refusal must not repeat.
        raise PydanticCustomError("email", "not a valid email address") from None


def _username(value: str) -> str:
    if re.fullmatch(_USERNAME, value) is None:
        # The pattern by itself would be the message, for people who read a table of their rows.
        raise PydanticCustomError("username", f"should be {_USERNAME_IN_WORDS}")
    return value


def printable(value: str) -> str:
    if not value.isprintable():
        raise PydanticCustomError("printable", "control characters are not allowed")
    return value


Email = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(_email),
    Field(json_schema_extra={"format": "email"}, examples=["ada@example.com"]),
]
Username = Annotated[
    str,
    AfterValidator(_username),
    Field(
        description=_USERNAME_IN_WORDS,
        examples=["ada"],
        json_schema_extra={"pattern": _USERNAME},
    ),
]
FullName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(printable),
    Field(examples=["Ada Lovelace"]),
]
NewPassword = Annotated[
    SecretStr,
    Field(
        min_length=1,
        max_length=MAX_PASSWORD_LENGTH,
        description="at least AUTH_PASSWORD_MIN_LENGTH characters, and none is cut off",
        examples=["correct horse battery staple"],
    ),
]


class RequestSchema(BaseModel):
    """What a client sends: a field we do not know is a mistake, and said to be one."""

    model_config = ConfigDict(extra="forbid")


class ResponseSchema(BaseModel):
    """What a client gets; may be read off a model."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

"""Base classes and shared field types of the schemas."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from app.core.security import MAX_PASSWORD_LENGTH
from app.core.text.normalisation import (
    MAX_LENGTH,
    is_blank,
    is_encodable,
    is_storable,
    normalise_email,
    normalise_name,
    normalise_username,
)

MAX_BIGINT = 2**63 - 1
MAX_NAME_LENGTH = 200
_USERNAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{2,31}$"
_USERNAME_IN_WORDS = "3 to 32 letters, digits, dots, hyphens or underscores"


def _email(value: str) -> str:
    try:
        return normalise_email(value)
    except ValueError:
        # The library's messages quote the address, which a refusal must not repeat.
        raise PydanticCustomError("email", "not a valid email address") from None


def _username(value: str) -> str:
    username = normalise_username(value)
    if re.fullmatch(_USERNAME, username) is None:
        # pydantic's own message would show the regular expression.
        raise PydanticCustomError("username", f"should be {_USERNAME_IN_WORDS}")
    return username


def _full_name(value: str) -> str:
    too_long = PydanticCustomError("too_long", f"should have at most {MAX_NAME_LENGTH} characters")
    if len(value) > MAX_LENGTH:  # before each character is checked
        raise too_long
    try:
        name = normalise_name(value)
    except ValueError as error:
        raise PydanticCustomError("name", "{reason}", {"reason": str(error)}) from None
    if is_blank(name):
        raise PydanticCustomError("blank", "should not be blank")
    if len(name) > MAX_NAME_LENGTH:
        raise too_long
    return name


def _encodable(value: SecretStr) -> SecretStr:
    if not is_encodable(value.get_secret_value()):
        raise PydanticCustomError("characters", "should be valid Unicode text")
    return value


def storable(value: str) -> str:
    if not is_storable(value):
        raise PydanticCustomError("characters", "should be valid Unicode text without U+0000")
    return value


def _storable_secret(value: SecretStr) -> SecretStr:
    storable(value.get_secret_value())
    return value


Text = Annotated[str, AfterValidator(storable)]
"""Text that the database can store and a page can show."""
Secret = Annotated[SecretStr, AfterValidator(_encodable)]
"""A password or token to compare: any text that can be encoded."""
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
    AfterValidator(_full_name),
    Field(
        examples=["Ada Lovelace"],
        json_schema_extra={"minLength": 1, "maxLength": MAX_NAME_LENGTH},
    ),
]
NewPassword = Annotated[
    SecretStr,
    AfterValidator(_storable_secret),
    Field(
        min_length=1,
        max_length=MAX_PASSWORD_LENGTH,
        description="at least AUTH_PASSWORD_MIN_LENGTH characters; never truncated",
        examples=["correct horse battery staple"],
    ),
]


class RequestSchema(BaseModel):
    """Base of request bodies; unknown fields are an error."""

    model_config = ConfigDict(extra="forbid")


class ResponseSchema(BaseModel):
    """Base of response bodies; can be built from a model's attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

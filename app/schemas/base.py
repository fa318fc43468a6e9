"""Base classes and shared field types of the schemas."""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from math import isfinite
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)
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


def _storable_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    parts: list[JsonValue] = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            storable(part)
        elif isinstance(part, dict):
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            parts += part
        elif isinstance(part, float) and not isfinite(part):
            raise PydanticCustomError("number", "numbers should be finite")
    return value


def _number(value: Any) -> Any:
    """Refuse booleans, which pydantic takes for 0 and 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "should be a whole number")
    return value


def _written(value: Any) -> Any:
    """Refuse numbers, which pydantic takes for seconds since 1970."""
    if isinstance(value, date) or (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise PydanticCustomError("date", "should be written as 2026-11-27")


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # a year before 1 or after 9999 in UTC
        raise PydanticCustomError("datetime", "out of range") from None


def _midnight(value: Any, after: timedelta) -> Any:
    """A day as the midnight, UTC, of the day `after` it."""
    if not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)):
        return value
    try:
        return datetime.combine(date.fromisoformat(value), time(), UTC) + after
    except (ValueError, OverflowError):
        raise PydanticCustomError("date", "no such day, or out of range") from None


def _as_day(moment: datetime, after: timedelta) -> str:
    """As `_midnight` reads it: a day where that is possible."""
    if moment.time() == time() and moment.date() > date.min:
        return (moment - after).date().isoformat()
    return moment.isoformat().replace("+00:00", "Z")


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


RowId = Annotated[int, Field(ge=1, le=MAX_BIGINT), BeforeValidator(_number)]
"""The id of a row."""
BigInt = Annotated[int, Field(ge=-MAX_BIGINT - 1, le=MAX_BIGINT), BeforeValidator(_number)]
"""A whole number that the database's `bigint` can store."""
Day = Annotated[date, BeforeValidator(_written)]
"""A date as ISO 8601 writes it."""
Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_utc)]
"""A time as ISO 8601 writes it, with its offset from UTC; converted to UTC."""
_NO_TIME, _A_DAY = timedelta(), timedelta(days=1)
_DAY_OR_MOMENT = WithJsonSchema(
    {"anyOf": [{"type": "string", "format": kind} for kind in ("date", "date-time")]}
)
FirstMoment = Annotated[
    Moment,
    BeforeValidator(partial(_midnight, after=_NO_TIME)),
    PlainSerializer(partial(_as_day, after=_NO_TIME)),
    _DAY_OR_MOMENT,
]
"""The begin of a range: a time, or a day from its midnight, UTC, on."""
EndMoment = Annotated[
    Moment,
    BeforeValidator(partial(_midnight, after=_A_DAY)),
    PlainSerializer(partial(_as_day, after=_A_DAY)),
    _DAY_OR_MOMENT,
]
"""The end of a range: a time that is left out, or a day up to its end."""
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_storable_json)]
"""An object of JSON that the database can store."""


def example_of(schema: type[BaseModel]) -> dict[str, Any]:
    """An example of a response, as JSON: the first example of each field, or true."""
    fields = schema.model_json_schema(mode="serialization")["properties"]
    return {name: field.get("examples", [True])[0] for name, field in fields.items()}


class RequestSchema(BaseModel):
    """Base of request bodies; unknown fields are an error."""

    model_config = ConfigDict(extra="forbid")


class ResponseSchema(BaseModel):
    """Base of response bodies; can be built from a model's attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

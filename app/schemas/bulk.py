"""Schemas of bulk creation and import of users."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from app.core.details import Detail, violations
from app.core.security.passwords.imported_hashes import fault_of_hash
from app.schemas.base import NewPassword, ResponseSchema
from app.schemas.error import ErrorDetail
from app.schemas.user import NewUser

_BCRYPT = "$2b$12$eIvrWRvM8Pc3OHD1Ej0fDu8qBhq2Y2DwYqMz6yQv1nCqJHqv8lY2u"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _storable(value: SecretStr) -> SecretStr:
    if fault := fault_of_hash(value.get_secret_value()):
        raise PydanticCustomError("hash", "{fault}", {"fault": fault})
    return value


HashedPassword = Annotated[
    SecretStr,
    AfterValidator(_storable),
    Field(
        description="argon2id ($argon2id$v=19$…) or bcrypt ($2a$, $2b$, $2y$), instead of a "
        "password: the password is hashed again at the first login",
        examples=[_BCRYPT],
    ),
]


class BulkUserCreate(NewUser):
    """One user of a bulk request, with a password or, from another system, its hash."""

    hashed_password: HashedPassword | None = None
    password: NewPassword | None = Field(None, validate_default=True)

    @field_validator("password")
    @classmethod
    def _is_one_of_both(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        is_right = "hashed_password" in info.data  # absent: its own error is reported already
        if is_right and (value is None) == (info.data["hashed_password"] is None):
            raise PydanticCustomError("one_of", "give either a password or a hashed_password")
        return value


def _check_past(value: datetime) -> datetime:
    """Check that a time lies between 1970 and tomorrow: clocks and time zones differ."""
    if not _EPOCH <= value <= datetime.now(UTC) + timedelta(days=1):
        raise PydanticCustomError("then", "should be between 1970 and now")
    return value


PastDatetime = Annotated[AwareDatetime, AfterValidator(_check_past)]


class UserImport(BulkUserCreate):
    """A user in an imported file, with the times of creation and change."""

    is_active: bool = True  # not strict, since a file contains text
    is_superuser: bool = False
    email_verified_at: PastDatetime | None = None
    created_at: PastDatetime = Field(default_factory=lambda: datetime.now(UTC))
    updated_at: PastDatetime = Field(default_factory=lambda: datetime.now(UTC))


BULK_EXAMPLE = [
    {"email": "ada@example.com", "password": "correct horse battery staple", "username": "ada"},
    {
        "email": "grace@example.com",
        "full_name": "Grace Hopper",
        "hashed_password": _BCRYPT,
    },
]

Schema = TypeVar("Schema", bound=BulkUserCreate)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """An invalid row, with its errors by field."""

    details: list[Detail]


def read_row(value: Any) -> BulkUserCreate | RefusedRow:
    """The user in `value`. An invalid row raises nothing: the errors of all rows are reported
    together."""
    return _read(BulkUserCreate, value)


def read_imported(value: Any) -> UserImport | RefusedRow:
    """`read_row` for a row of a file."""
    return _read(UserImport, value)


def _read(schema: type[Schema], value: Any) -> Schema | RefusedRow:
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False, include_context=False)
        return RefusedRow(violations({**e, "loc": ("row", *e["loc"])} for e in errors))


BulkRow = Annotated[
    BulkUserCreate | RefusedRow, PlainValidator(read_row, json_schema_input_type=BulkUserCreate)
]


class RowFault(ErrorDetail):
    """One error of one row."""

    index: int = Field(description="position in the list, from 0", examples=[3])


class BulkReport(ResponseSchema):
    """Result of a dry run of bulk creation; nothing was created."""

    total: int = Field(description="users in the list", examples=[500])
    is_acceptable: bool = Field(description="whether the users would be created")
    details: list[RowFault] = Field(description="all errors, ordered by row")

"""Forms that create and edit a user, as they are typed, and their conversion to schemas."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from fastapi import Form
from pydantic import BaseModel, Field, SecretStr, ValidationError

from app.admin.forms.edits import Edited
from app.admin.translation import N_
from app.core.details import violations
from app.core.exceptions import ValidationException
from app.schemas.base import Text
from app.schemas.user import UserCreate, UserSchema, UserUpdate

Schema = TypeVar("Schema", bound=BaseModel)
_MESSAGES = {
    "string_pattern_mismatch": N_(
        "3 to 32 letters, digits, dots, hyphens or underscores, "
        "of which the first is a letter or a digit"
    ),
    "too_short": "is missing",
}
"""Messages in place of pydantic's, by its type of error."""


class UserForm(BaseModel):
    """The fields as they are typed. Anything is accepted here, so that it can be shown again."""

    email: Text = ""
    username: Text = Field("", description="Optional; derived from the email if empty")
    full_name: Text = Field("", description="Optional")
    is_superuser: bool = False

    @classmethod
    def text_fields(cls) -> dict[str, str]:
        """The text fields in the order of the form, each with its hint."""
        fields = cls.model_fields.items()
        return {name: field.description or "" for name, field in fields if field.annotation is str}

    def stored(self) -> dict[str, object]:
        """The fields; those that were left empty are None."""
        fields = UserForm.model_fields
        return {
            name: None if (value := getattr(self, name)) == "" else value for name in fields
        } | {"email": self.email}


class EditForm(Edited[UserForm], UserForm):
    """The form for an existing user.

    Attributes:
        is_sure: whether a warning was shown; see `OwnRightsException`.
    """

    username: Text = ""
    is_sure: bool = False

    @property
    def known(self) -> dict[str, object]:
        return self.was.stored()

    @classmethod
    def of(cls, user: UserSchema) -> "EditForm":
        known = user.model_dump(include=set(UserForm.model_fields), exclude_none=True)
        was = UserForm.model_validate(known)
        return cls.model_validate(known | {"was": was.model_dump_json()})

    def update(self) -> UserUpdate:
        """The changes.

        Raises:
            ValidationException: a value is not valid.
        """
        values = self.stored() | {"username": self.username}
        return validated(UserUpdate, {name: values[name] for name in self.changed})


class NewUserForm(UserForm):
    """The form for a new user, with a password, which is never shown again."""

    password: SecretStr = SecretStr("")

    def create(self) -> UserCreate:
        """The user to create.

        Raises:
            ValidationException: a value is not valid.
        """
        return validated(UserCreate, {**self.stored(), "password": self.password})


def validated(schema: type[Schema], values: Mapping[str, object]) -> Schema:
    """
    Raises:
        ValidationException: a value is not valid.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        raise ValidationException(
            details=violations(
                {
                    "loc": ("form", *fault["loc"]),
                    "msg": _MESSAGES.get(fault["type"], fault["msg"]),
                    "type": fault["type"],
                }
                for fault in faults
            )
        ) from None


NewUserFormBody = Annotated[NewUserForm, Form()]
EditFormBody = Annotated[EditForm, Form()]

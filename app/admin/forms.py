"""The forms that make and change a user."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from fastapi import Depends, Form
from pydantic import BaseModel, SecretStr, ValidationError

from app.admin.deps import PageDep
from app.api.types import UserId
from app.core.errors import violations
from app.core.exceptions import ValidationException
from app.schemas.base import Text
from app.schemas.user import UserCreate, UserSchema, UserUpdate

Meant = TypeVar("Meant", bound=BaseModel)
_WORDS = {
    "string_pattern_mismatch": "3 to 32 letters, digits, dots, hyphens or underscores, "
    "of which the first is a letter or a digit",
    "too_short": "is missing",
}
"""For people, in place of pydantic's, by its type of error."""


class UserForm(BaseModel):
    """As it is typed: nothing is wrong with it yet, and so it can be shown again."""

    email: Text = ""
    username: Text = ""
    full_name: Text = ""
    is_superuser: bool = False

    def _values(self) -> dict[str, object]:
        """What is left empty means None."""
        fields = UserForm.model_fields
        return {
            name: None if (value := getattr(self, name)) == "" else value for name in fields
        } | {"email": self.email}


class EditForm(UserForm):
    """The same for a user who is there, with what each field held when the form was given out:
    what was not touched is not sent on, for it may have been changed by another admin since."""

    was_email: str = ""
    was_username: str = ""
    was_full_name: str = ""
    was_is_superuser: bool = False

    @classmethod
    def of(cls, user: UserSchema) -> "EditForm":
        known = user.model_dump(include=set(UserForm.model_fields))
        fields = {name: "" if value is None else value for name, value in known.items()}
        return cls.model_validate(fields | {f"was_{name}": fields[name] for name in fields})

    def update(self) -> UserUpdate:
        """What it is to change.

        Raises:
            ValidationException: something that was typed makes no sense.
        """
        values = self._values() | {"username": self.username}
        return _meant(
            UserUpdate,
            {
                name: value
                for name, value in values.items()
                if getattr(self, name) != getattr(self, f"was_{name}")
            },
        )


class NewUserForm(UserForm):
    """The same with a password, which is never shown again."""

    password: SecretStr = SecretStr("")

    def create(self) -> UserCreate:
        """Whom it is to make.

        Raises:
            ValidationException: something that was typed makes no sense.
        """
        return _meant(UserCreate, {**self._values(), "password": self.password})


def _meant(schema: type[Meant], values: Mapping[str, object]) -> Meant:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        raise ValidationException(
            details=violations(
                {"loc": ("form", *fault["loc"]), "msg": _WORDS.get(fault["type"], fault["msg"])}
                for fault in faults
            )
        ) from None


async def get_new_user_form(page: PageDep, form: Annotated[NewUserForm, Form()]) -> NewUserForm:
    """What was typed, which is shown again where it is refused."""
    page.show_again("users/form.html", form=form, user_id=None)
    return form


async def get_user_form(
    page: PageDep, user_id: UserId, form: Annotated[EditForm, Form()]
) -> EditForm:
    """The same for a user who is there."""
    page.show_again("users/form.html", form=form, user_id=user_id)
    return form


NewUser = Annotated[NewUserForm, Depends(get_new_user_form)]
ChangedUser = Annotated[EditForm, Depends(get_user_form)]

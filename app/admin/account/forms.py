"""Forms of the account pages. Each also has the CSRF token, which is checked before."""

from typing import Annotated
from uuid import UUID

from fastapi import Form
from pydantic import BaseModel, ConfigDict, SecretStr

from app.admin.forms.edits import Edited
from app.admin.forms.users import validated
from app.schemas.access.auth import PasswordChange
from app.schemas.account import (
    DeletionRequest,
    EmailChange,
    PasswordRecovery,
    PasswordReset,
    TokenUse,
)
from app.schemas.base import Text
from app.schemas.invitation import InvitationAccept
from app.schemas.user import UserSchema, UserUpdate


class RecoveryForm(PasswordRecovery):
    model_config = ConfigDict(extra="ignore")


class ResetForm(PasswordReset):
    model_config = ConfigDict(extra="ignore")


class TokenForm(TokenUse):
    model_config = ConfigDict(extra="ignore")


class InvitationForm(InvitationAccept):
    model_config = ConfigDict(extra="ignore")


class ProfileForm(BaseModel):
    """The fields as they are typed."""

    full_name: Text = ""
    username: Text = ""

    def stored(self) -> dict[str, object]:
        return {"full_name": self.full_name or None, "username": self.username}


class EditProfileForm(Edited[ProfileForm], ProfileForm):
    """The form of the profile."""

    @property
    def known(self) -> dict[str, object]:
        return self.was.stored()

    @classmethod
    def of(cls, user: UserSchema) -> "EditProfileForm":
        was = ProfileForm(full_name=user.full_name or "", username=user.username)
        return cls.model_validate(was.model_dump() | {"was": was.model_dump_json()})

    def update(self) -> UserUpdate:
        """The changes.

        Raises:
            ValidationException: a value is not valid.
        """
        values = self.stored()
        return validated(UserUpdate, {name: values[name] for name in self.changed})


class PasswordForm(BaseModel):
    """The fields as they are typed; they are never shown again."""

    current_password: SecretStr = SecretStr("")
    new_password: SecretStr = SecretStr("")

    def change(self) -> PasswordChange:
        """
        Raises:
            ValidationException: a value is not valid.
        """
        return validated(PasswordChange, self.model_dump())


class EmailForm(BaseModel):
    """The fields as they are typed; the password is never shown again."""

    email: Text = ""
    current_password: SecretStr = SecretStr("")

    def change(self) -> EmailChange:
        """
        Raises:
            ValidationException: a value is not valid.
        """
        return validated(EmailChange, self.model_dump())


class DeletionForm(DeletionRequest):
    model_config = ConfigDict(extra="ignore")


class SessionForm(BaseModel):
    id: UUID


RecoveryFormBody = Annotated[RecoveryForm, Form()]
ResetFormBody = Annotated[ResetForm, Form()]
TokenFormBody = Annotated[TokenForm, Form()]
InvitationFormBody = Annotated[InvitationForm, Form()]
ProfileFormBody = Annotated[EditProfileForm, Form()]
PasswordFormBody = Annotated[PasswordForm, Form()]
EmailFormBody = Annotated[EmailForm, Form()]
DeletionFormBody = Annotated[DeletionForm, Form()]
SessionFormBody = Annotated[SessionForm, Form()]

"""Forms of the account pages. Each also has the CSRF token, which is checked before."""

from typing import Annotated
from uuid import UUID

from fastapi import Form
from pydantic import BaseModel, ConfigDict, SecretStr

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

    @classmethod
    def of(cls, user: UserSchema) -> "ProfileForm":
        return cls(full_name=user.full_name or "", username=user.username)

    def changes(self, user: UserSchema) -> UserUpdate:
        """What differs from `user`.

        Raises:
            ValidationException: a value is not valid.
        """
        was = ProfileForm.of(user)
        values: dict[str, object] = {"full_name": self.full_name or None, "username": self.username}
        return validated(
            UserUpdate,
            {
                name: value
                for name, value in values.items()
                if getattr(self, name) != getattr(was, name)
            },
        )


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
ProfileFormBody = Annotated[ProfileForm, Form()]
PasswordFormBody = Annotated[PasswordForm, Form()]
EmailFormBody = Annotated[EmailForm, Form()]
DeletionFormBody = Annotated[DeletionForm, Form()]
SessionFormBody = Annotated[SessionForm, Form()]

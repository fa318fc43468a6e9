"""The form of an invitation, as it is typed."""

from typing import Annotated

from fastapi import Form
from pydantic import BaseModel

from app.admin.forms.access import Chosen
from app.admin.forms.users import validated
from app.schemas.base import Text
from app.schemas.invitation import InvitationCreate, InvitationRows


class InvitationForm(BaseModel):
    """Anything is accepted here, so that it can be shown again."""

    email: Text = ""
    full_name: Text = ""
    roles: Chosen = []
    is_superuser: bool = False

    def rows(self) -> InvitationRows:
        """
        Raises:
            ValidationException: a value is not valid.
        """
        values = self.model_dump() | {"full_name": self.full_name or None}
        return InvitationRows([validated(InvitationCreate, values)], is_list=False)


InvitationFormBody = Annotated[InvitationForm, Form()]

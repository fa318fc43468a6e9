"""`Edited`: what an edit form changes, beside what it began with."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Json

Fields = TypeVar("Fields", bound=BaseModel)


class Edited(BaseModel, Generic[Fields]):
    """Part of a form for an existing row, in front of the form of its fields.

    Only fields that differ from `was` are sent to the service, which compares `was` with the row:
    another user may have changed it since.

    Attributes:
        was: the fields at the time the form was shown.
    """

    was: Json[Fields]

    @property
    def changed(self) -> set[str]:
        """The fields that differ."""
        names = type(self.was).model_fields
        return {name for name in names if getattr(self, name) != getattr(self.was, name)}

    def was_after(self, error: dict[str, Any] | None) -> str:
        """`was` for the form that is shown again, as JSON: with the values of others, which the
        user has seen then, in place of those that were the reason of a refusal."""
        seen = {
            detail["field"]: "" if detail["value"] is None else detail["value"]
            for detail in (error["details"] if error else ())
            if detail["code"] == "changed"
        }
        return self.was.model_copy(update=seen).model_dump_json()

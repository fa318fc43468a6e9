"""URL convertor of row ids, which does not match fixed paths such as `/users/me`."""

from starlette.convertors import Convertor

FIXED = ("bulk", "cursor", "export", "invitations", "me", "options", "revocation")
"""Last parts of paths of lists, which are no ids: `/users/me`, `/users/cursor`."""


class RowIdConvertor(Convertor[str]):
    """Whatever is no other route's: the parameter's type tells what is wrong with it.

    Without it `/users/{user_id}` takes `/users/me` for a user, and a DELETE of it is not a 405.
    Starlette's own `int` fails at numbers of more than 4300 digits.
    """

    regex = rf"(?!(?:{'|'.join(FIXED)})(?:/|$))[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return str(value)


USER_ID = "/{user_id:row_id}"

"""Numbers in a path."""

from starlette.convertors import Convertor, register_url_convertor


class NumberConvertor(Convertor[str]):
    """A number of any size, as text: the parameter's type tells what is wrong with it.

    Without it `/users/{user_id}` takes `/users/me` for a user, and a DELETE of it is not a 405.
    Starlette's own `int` fails at numbers of more than 4300 digits.
    """

    regex = "-?[0-9]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return str(value)


register_url_convertor("number", NumberConvertor())


def number(name: str) -> str:
    """A parameter in a route's path, where nothing but a number fits."""
    return f"{{{name}:number}}"

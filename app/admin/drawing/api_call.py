"""`ApiCall`: the call of the API whose answer a list shows, as code for three languages."""

import json
import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlencode

from pydantic import BaseModel

from app.core.permissions import NOT_FOR_KEYS, Permission

API = "/api/v1"


class ApiCall(NamedTuple):
    """A GET of the API.

    Attributes:
        url: without a query.
        query: parameters, as they are sent.
        permission: what the caller needs; None for what everyone may do for themselves.
    """

    url: str
    query: tuple[tuple[str, str], ...]
    permission: Permission | None

    @property
    def takes_keys(self) -> bool:
        """Whether an API key may call it."""
        return self.permission is not None and self.permission not in NOT_FOR_KEYS

    @property
    def snippets(self) -> tuple[tuple[str, str], ...]:
        """The name of each language, and the code."""
        return ("curl", self.curl), ("Python", self.python), ("TypeScript", self.typescript)

    @property
    def curl(self) -> str:
        url = f"{self.url}?{urlencode(self.query)}" if self.query else self.url
        return f'curl -H "Authorization: Bearer $TOKEN" {shlex.quote(url)}\n'

    @property
    def python(self) -> str:
        """For httpx."""
        return f"""\
import os

import httpx

response = httpx.get(
    {_quoted(self.url)},
    params={_listed(self.query, "        (", ")", "    ")},
    headers={{"Authorization": f"Bearer {{os.environ['TOKEN']}}"}},
)
response.raise_for_status()
print(response.json())
"""

    @property
    def typescript(self) -> str:
        """For fetch."""
        return f"""\
const query = new URLSearchParams({_listed(self.query, "  [", "]", "")});
const response = await fetch({_quoted(self.url + "?")} + query, {{
  headers: {{ Authorization: `Bearer ${{process.env.TOKEN}}` }},
}});
if (!response.ok) throw new Error(await response.text());
console.log(await response.json());
"""


def api_call(
    origin: str, path: str, permission: Permission | None, params: Iterable[BaseModel]
) -> ApiCall:
    """The call with those parameters that differ from their defaults.

    Args:
        origin: scheme and host, as the browser knows them.
        path: below the API's.
        permission: what the caller needs.
        params: of the query.
    """
    query = tuple(pair for one in params for pair in _pairs(one))
    return ApiCall(f"{origin}{API}{path}", query, permission)


def _pairs(params: BaseModel) -> Iterator[tuple[str, str]]:
    sent = params.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    for name, value in sent.items():
        for one in value if isinstance(value, list) else [value]:
            yield name, str(one).lower() if isinstance(one, bool) else str(one)


def _quoted(text: str) -> str:
    """A literal of Python and of TypeScript. Characters beyond ASCII stay: Python has no surrogate
    pairs."""
    return json.dumps(text, ensure_ascii=False)


def _listed(query: tuple[tuple[str, str], ...], opening: str, closing: str, indent: str) -> str:
    """A list of pairs, a line each; `opening` and `closing` are of a pair, `indent` of the end."""
    if not query:
        return "[]"
    pairs = (f"{opening}{_quoted(name)}, {_quoted(value)}{closing},\n" for name, value in query)
    return f"[\n{''.join(pairs)}{indent}]"

"""Refusals for people who look at them in a browser."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Wants = Callable[[Request], bool]
Renders = Callable[[Request, int, Mapping[str, Any], Mapping[str, str]], Response]


class HtmlErrors:
    """Shows refusals in the contract's shape, whichever layer inside they come from, as pages.

    Args:
        wants: whether a request is of somebody who looks at its answer.
        render: the page for status, refusal and headers.
    """

    def __init__(self, app: ASGIApp, *, wants: Wants, render: Renders) -> None:
        self.app = app
        self._wants = wants
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._wants(Request(scope)):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def show(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_refusal(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    headers = dict(Headers(raw=start["headers"]).items())
                    page = self._render(Request(scope), start["status"], json.loads(body), headers)
                    await page(scope, receive, send)

        await self.app(scope, receive, show)


def _is_refusal(start: Message) -> bool:
    kind = Headers(raw=start["headers"]).get("content-type", "")
    return start["status"] >= 400 and kind.startswith("application/json")

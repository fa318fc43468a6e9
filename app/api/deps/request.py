"""Dependencies that read or change the current request: client device, extended deadline."""

from typing import Annotated

from fastapi import Depends, Header, Request, Response

from app.core.device import Device
from app.core.middleware.deadline import current_deadline

DEVICE_TOKEN = "X-Device-Token"  # noqa: S105  # the name of a header
"""Header of a known device, in requests and responses. The pages have a cookie instead."""


async def get_device(
    request: Request,
    token: Annotated[
        str | None,
        Header(
            alias=DEVICE_TOKEN, description="of an earlier response, from a login by this client"
        ),
    ] = None,
) -> Device:
    """The client's address is that of the peer, or the one that a trusted proxy reports."""
    address = request.client.host[:45] if request.client else None
    return Device(request.headers.get("user-agent"), address, (token,) if token else ())


def send_device_token(response: Response, token: str | None) -> None:
    """Give the client the token that proves from now on that it is a known device."""
    if token is not None:
        response.headers[DEVICE_TOKEN] = token


class ExtendedDeadline:
    """A longer deadline for a route: `dependencies=[Depends(ExtendedDeadline(120))]`.

    Args:
        timeout: seconds that the route has at least, counted from the request's arrival.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    async def __call__(self) -> None:
        if (deadline := current_deadline()) is not None:
            deadline.reschedule(max(self.timeout, deadline.timeout))


ClientDevice = Annotated[Device, Depends(get_device)]
LongDeadline = Depends(ExtendedDeadline(120))

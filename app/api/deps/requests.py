"""Dependencies on the request itself: the client's device, and a longer deadline."""

from typing import Annotated

from fastapi import Depends, Request

from app.core.device import Device
from app.core.middleware.deadline import current_deadline


async def get_device(request: Request) -> Device:
    """The client's address is that of the peer, or the one that a trusted proxy reports."""
    address = request.client.host[:45] if request.client else None
    return Device(request.headers.get("user-agent"), address)


class Deadline:
    """A longer deadline for a route: `dependencies=[Depends(Deadline(120))]`.

    Args:
        timeout: seconds that the route has at least, counted from the request's arrival.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    async def __call__(self) -> None:
        if (deadline := current_deadline()) is not None:
            deadline.reschedule(max(self.timeout, deadline.timeout))


ClientDevice = Annotated[Device, Depends(get_device)]
LongDeadline = Depends(Deadline(120))

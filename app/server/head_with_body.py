"""The head of a response and the first part of its body, sent together."""

from asyncio import Transport


class HeadWithBody:
    """The transport of one response, to which uvicorn writes the head first and then the body.

    The head waits for the first part of the body, which may be empty: as one packet, both cost the
    server and its client a system call less each. A response to HEAD has no such part, and an
    interim response (100) comes before the head: these need the connection's own transport.

    Args:
        transport: of the connection.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def close(self) -> None:
        """Close the connection after all that was written, which may be a head alone."""
        if self._head:
            self._transport.write(self._head)
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

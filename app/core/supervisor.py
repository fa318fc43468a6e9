"""Who looks after several workers."""

from uvicorn.supervisors import Multiprocess


class Supervisor(Multiprocess):
    """uvicorn's, which lets go of the socket when it stops its workers.

    Whoever came after they have closed it would otherwise wait at a door that nobody opens, until
    the last of them has ended.
    """

    def terminate_all(self) -> None:
        super().terminate_all()
        for door in self.sockets:
            door.close()

"""The replicas of a session, which `get_session_maker` puts into `info` of each."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.database.replicas.replicas import Replicas

T = TypeVar("T")

_REPLICAS = "replicas"


def session_info(replicas: Replicas | None) -> dict[str, Replicas]:
    """For `get_session_maker`: the functions below find the replicas there."""
    return {} if replicas is None else {_REPLICAS: replicas}


async def mark_commit(db: AsyncSession) -> None:
    """Mark a commit of `db` for reads on replicas; nothing where there are none."""
    replicas: Replicas | None = db.info.get(_REPLICAS)
    if replicas is not None:
        await replicas.marks.mark()


async def read_list(
    db: AsyncSession, read: Callable[[AsyncSession], Awaitable[T]], *, is_shared: bool = False
) -> T:
    """Read with a session of a replica that has the caller's own writes, or with `db`.

    Args:
        db: without changes of its own.
        read: changes nothing.
        is_shared: the result is stored for other callers, whose writes count as well.
    """
    replicas: Replicas | None = db.info.get(_REPLICAS)
    if replicas is None:
        return await read(db)
    return await replicas.run(
        lambda replica: replica.in_session(read), lambda: read(db), is_shared=is_shared
    )

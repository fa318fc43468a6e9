"""`AccountExport`: all that is stored of a user, as JSON."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.core.exceptions import ImpersonationException
from app.database import Reads
from app.repositories.account_data import AccountDataRepository, sections
from app.schemas.access.session import Principal
from app.schemas.audit import Action, Target
from app.services.base import BaseService


class AccountExport:
    """Streams a user's own data: one array for each table that refers to users, by its name.

    Args:
        session_maker: makes the session that records the export.
        reads: of the primary.
    """

    def __init__(self, session_maker: async_sessionmaker[AsyncSession], reads: Reads) -> None:
        self._session_maker = session_maker
        self._data = AccountDataRepository(reads)

    def of(self, caller: Principal) -> AsyncGenerator[bytes, None]:
        """The parts of one JSON object. Secrets and their hashes are left out.

        Raises:
            ImpersonationException: a superuser acts as the caller.
        """
        if caller.impersonator is not None:
            raise ImpersonationException
        return self._stream(caller.user_id)

    async def _stream(self, user_id: int) -> AsyncGenerator[bytes, None]:
        await self._record(user_id)
        yield b'{"exported_at":' + to_json(datetime.now(UTC))
        for section in sections():
            yield b"," + to_json(section.table.name) + b":["
            is_first = True
            async for rows in self._data.batches(section, user_id):
                part = to_json(rows)[1:-1]
                if part:
                    yield part if is_first else b"," + part
                    is_first = False
            yield b"]"
        yield b"}\n"

    async def _record(self, user_id: int) -> None:
        async with self._session_maker() as db:
            service = BaseService(db)
            async with service.transaction():
                service.audit.record(Action.DATA_EXPORTED, Target("user", user_id))

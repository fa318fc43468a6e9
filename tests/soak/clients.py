"""Clients of a soak: each writes into the ledger what it asked for and what was acknowledged."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx

from tests.conftest import PASSWORD
from tests.soak.ledger import Account, Answer, Bulk, Ledger, Session

PATIENCE = 20.0
"""Seconds that a client waits for an answer: longer than the service's deadline of 5 s."""
ATTEMPTS = 30
ROWS = 3
"""Users of a bulk creation."""
PROBE_EVERY = 0.2
COMPLETION = 60.0
"""Seconds in which each client has completed its last request after the last fault."""

ME, USERS, STATISTICS = "/api/v1/users/me", "/api/v1/users", "/api/v1/dashboard/stats"
LOGIN, LOGOUT, REFRESH = (f"/api/v1/auth/{name}" for name in ("login", "logout", "refresh"))


class Client:
    """One client, which asks one thing after another until the soak is over."""

    def __init__(self, number: int, url: str, ledger: Ledger, chance: Random) -> None:
        self.name = f"client{number}"
        self.ledger = ledger
        self.chance = chance
        # Half of the clients keep their connection, and with it their worker process.
        limits = httpx.Limits(max_keepalive_connections=number % 2)
        self.http = httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits)
        self._turns = 0

    def new_email(self) -> str:
        self._turns += 1
        return f"{self.name}-{self._turns}@example.com"

    async def ask(
        self,
        method: str,
        path: str,
        *expected: int,
        session: Session | None = None,
        named: str = "",
        **options: Any,
    ) -> tuple[Answer, httpx.Response | None]:
        """Send one request, and record its outcome.

        Args:
            method: of HTTP.
            path: as it is sent.
            expected: the statuses that it has without any fault.
            session: whose access token is sent.
            named: the path in the report, where `path` has an id in it.
            options: of httpx.
        """
        headers = dict(options.pop("headers", {}))
        if session:
            headers["Authorization"] = f"Bearer {session.access_token}"
        began, response, error = time.monotonic(), None, ""
        try:
            response = await self.http.request(method, path, headers=headers, **options)
        except httpx.TransportError as failure:
            error = repr(failure)
        status = response.status_code if response is not None else 0
        answer = Answer(
            f"{method} {named or path}",
            began,
            time.monotonic(),
            status,
            status in expected,
            response.headers.get("x-request-id", "") if response is not None else "",
            error,
        )
        self.ledger.answers.append(answer)
        return answer, response

    async def insist(
        self, method: str, path: str, *expected: int, again: tuple[int, ...] = (), **options: Any
    ) -> httpx.Response | None:
        """Send a request until its outcome is known; None where it remains unknown.

        Args:
            method: of HTTP.
            path: as it is sent.
            expected: the statuses that it has without any fault.
            again: further ones, where an attempt before may have been carried out.
            options: see `ask`.
        """
        for _ in range(ATTEMPTS):
            answer, response = await self.ask(method, path, *expected, **options)
            if not answer.is_unknown:
                return response
            expected += again
            await asyncio.sleep(0.2)
            await self.ledger.settled()
        return None

    async def sign_up(self, session: Session | None = None) -> Account:
        """Create a user, as itself or by a superuser's session."""
        account = Account(self.new_email())
        self.ledger.accounts.append(account)
        profile = {"email": account.email, "password": PASSWORD, "full_name": "0"}
        created = await self.insist("POST", USERS, 201, again=(409,), json=profile, session=session)
        if created is not None and created.status_code == 201:
            account.id = created.json()["id"]
        elif created is not None and created.status_code == 409:
            account.id = -1  # an attempt before was carried out, and its answer was lost
        return account

    async def log_in(self, account: Account) -> Session | None:
        body = {"email": account.email, "password": PASSWORD}
        response = await self.insist("POST", LOGIN, 200, json=body)
        if response is None or response.status_code != 200:
            return None
        tokens = response.json()
        session = Session(tokens["access_token"], tokens["refresh_token"])
        account.sessions.append(session)
        return session

    async def count(self, account: Account, session: Session) -> None:
        """Write the next value of the account's counter, once."""
        account.sent += 1
        body = {"full_name": str(account.sent)}
        answer, _ = await self.ask("PATCH", ME, 200, session=session, json=body)
        if answer.status == 200:
            account.acknowledged = account.sent
        elif answer.is_unknown:
            await self.ledger.settled()

    async def refresh(self, session: Session) -> None:
        body = {"refresh_token": session.refresh_token}
        response = await self.insist("POST", REFRESH, 200, json=body)
        if response is not None and response.status_code == 200:
            tokens = response.json()
            session.access_token = tokens["access_token"]
            session.refresh_token = tokens["refresh_token"]

    async def log_out(self, session: Session) -> None:
        ended = await self.insist("POST", LOGOUT, 204, again=(401,), session=session)
        if ended is not None and ended.status_code in {204, 401}:
            session.ended_at = time.monotonic()
            await self.check_end(session)

    async def check_end(self, session: Session) -> None:
        """Use an ended session. An answer of 200 is recorded: whether it is admissible depends on
        the faults of that time."""
        assert session.ended_at is not None
        answer, _ = await self.ask("GET", ME, 200, 401, session=session, named=f"{ME} (ended)")
        if answer.status == 200:
            self.ledger.admitted.append((session.ended_at, answer.began))


Role = Callable[[Client, Session], Awaitable[None]]


async def live(client: Client, _: Session) -> None:
    """Sign up, log in, write, read, refresh, and mostly log out."""
    account = await client.sign_up()
    session = await client.log_in(account) if account.id else None
    if session is None:
        return
    for _number in range(client.chance.randint(2, 8)):
        await client.count(account, session)
        await client.ask("GET", ME, 200, session=session)
        await asyncio.sleep(client.chance.uniform(0.05, 0.2))
    await client.refresh(session)
    await client.count(account, session)
    if client.chance.random() < 0.8:
        await client.log_out(session)


async def create_bulks(client: Client, admin: Session) -> None:
    """Create users in bulk, at times with the same key once more after the acknowledgement."""
    bulk = Bulk([client.new_email() for _ in range(ROWS)])
    client.ledger.bulks.append(bulk)
    options: dict[str, Any] = {
        "json": [{"email": email, "password": PASSWORD} for email in bulk.emails],
        "headers": {"Idempotency-Key": bulk.emails[0]},
        "session": admin,
    }
    for _ in range(client.chance.randint(1, 2)):
        created = await client.insist("POST", f"{USERS}/bulk", 201, **options)
        if created is not None and created.status_code == 201:
            bulk.answers.append([user["id"] for user in created.json()])
    await asyncio.sleep(client.chance.uniform(0.2, 0.6))


async def delete_users(client: Client, admin: Session) -> None:
    """Create a user as a superuser, log in as the user, delete it."""
    account = await client.sign_up(admin)
    session = await client.log_in(account) if account.id > 0 else None
    if session is None:
        return
    path, named = f"{USERS}/{account.id}", f"{USERS}/…"
    await client.ask("GET", path, 200, session=admin, named=named)
    account.is_deleted = None
    deleted = await client.insist("DELETE", path, 204, again=(404,), session=admin, named=named)
    if deleted is not None and deleted.status_code in {204, 404}:
        now = session.ended_at = time.monotonic()
        account.is_deleted = True
        await client.check_end(session)
        # While Redis takes no writes, another process may read the profile that it has.
        stale = (200,) if "Redis" in client.ledger.parts_at(now, now) else ()
        named = f"{USERS}/… (deleted)"
        await client.ask("GET", path, 404, *stale, session=admin, named=named)
    await asyncio.sleep(client.chance.uniform(0.2, 0.6))


async def read(client: Client, admin: Session) -> None:
    """Read lists, a search, an export or the statistics, as a superuser."""
    paths = ("", "?search=client1", "/cursor", "/export", "/export?format=ndjson")
    path = client.chance.choice([*(f"{USERS}{path}" for path in paths), STATISTICS])
    await client.ask("GET", path, 200, session=admin)
    await asyncio.sleep(client.chance.uniform(0.05, 0.2))


async def use_ended_sessions(client: Client, _: Session) -> None:
    """Use sessions again whose end was acknowledged at some time."""
    accounts = client.ledger.accounts
    ended = [one for account in accounts for one in account.sessions if one.ended_at is not None]
    for session in [*client.chance.sample(ended, min(2, len(ended))), *ended[-3:]]:
        await client.check_end(session)
    await asyncio.sleep(0.2)


async def probe(client: Client, _: Session) -> None:
    """Ask for liveness, as a supervisor of containers does."""
    await client.ask("GET", "/health/live", 200)
    await asyncio.sleep(PROBE_EVERY)


ROLES: tuple[Role, ...] = (
    *[live] * 6,
    *[create_bulks] * 2,
    delete_users,
    *[read] * 2,
    use_ended_sessions,
    probe,
)


@asynccontextmanager
async def busy(url: str, email: str, ledger: Ledger, seed: int) -> AsyncIterator[None]:
    """A client for each of `ROLES` within the block; then each completes what it is doing.

    Args:
        url: of the service.
        email: of a superuser.
        ledger: to be filled in.
        seed: of everything that clients choose by chance.
    """
    over = asyncio.Event()
    clients = [Client(n, url, ledger, Random(f"{seed}-{n}")) for n in range(len(ROLES))]
    admin = await clients[0].log_in(Account(email))
    assert admin is not None, "the superuser cannot log in"

    async def work(client: Client, role: Role) -> None:
        while not over.is_set():
            await role(client, admin)
        ledger.completed += 1

    tasks = [asyncio.create_task(work(*pair)) for pair in zip(clients, ROLES, strict=True)]
    try:
        yield
        over.set()
        done, _ = await asyncio.wait(tasks, timeout=COMPLETION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            await client.http.aclose()

"""R15: Sentinels that fail over, a cluster that loses a node, and servers that know or allow less
than usual."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.cli.doctor import _servers
from app.core.cache.redis_usage import redis_usage
from app.core.config import Settings
from app.core.redis.breaker import NO_CLUSTER_CLIENT
from app.runtime import Runtime
from app.services.dashboard import invalidate_statistics
from tests.conftest import Person, browsing, person, running
from tests.polling import within_async
from tests.valkeys import ENCODED, Valkey, cluster, one, says, watched

FAILED_OVER = 10.0
"""Seconds until a failover has surely ended: the servers wait 0.5 s, then vote."""


@dataclass
class Site:
    """An application on some kind of Redis, and its visitors."""

    app: FastAPI
    visitor: httpx.AsyncClient
    statuses: set[int] = field(default_factory=set)

    @property
    def runtime(self) -> Runtime:
        runtime: Runtime = self.app.state.runtime
        return runtime

    async def health(self) -> dict[str, str | None]:
        """The error of each check."""
        checks = (await self.visitor.get("/health")).json()["checks"]
        return {name: check.get("error") for name, check in checks.items()}

    async def is_well(self) -> bool:
        return not any((await self.health()).values())

    async def is_ill(self) -> bool:
        return (await self.health())["cache"] is not None

    async def ask(self, somebody: Person) -> int:
        """Who am I; with the limit of reads."""
        response = await somebody.get("/users/me")
        self.statuses.add(response.status_code)
        return response.status_code

    async def works(self, admin: Person) -> None:
        """Assert that principals, results, their invalidation and limits are in Redis."""
        assert await self.ask(admin) == 200
        prefix = self.runtime.settings.cache.prefix
        before = (await admin.get("/dashboard/stats")).json()["total_users"]
        assert self.runtime.cache is not None
        usage = await redis_usage(self.runtime.cache.redis, prefix)
        assert {"session", "principal", "answer"} <= set(usage.keys)
        assert usage.memory > 0
        user = {"email": f"{time.monotonic()}@example.com", "password": "a long enough password"}
        created = await admin.post("/users", json=user)
        assert created.status_code == 201
        assert "x-ratelimit-storage" not in created.headers
        await invalidate_statistics()
        assert (await admin.get("/dashboard/stats")).json()["total_users"] == before + 1


@asynccontextmanager
async def on(settings: Settings, url: str) -> AsyncIterator[Site]:
    """A site whose cache and limiter are there."""
    redis = {"redis_url": SecretStr(url)}
    own = settings.replaced(cache=redis, limiter=redis)
    async with running(own) as app, browsing(app) as visitor:
        yield Site(app, visitor)


async def test_sentinels_fail_over_and_no_request_fails(client, settings, record):
    async with watched() as trio, on(settings, trio.url) as site:
        root = await person(site.visitor, site.runtime, "root", is_superuser=True)
        ada = await person(site.visitor, site.runtime, "ada")
        await site.works(root)
        await site.ask(ada)
        trio.primary.kill()
        killed = time.monotonic()
        is_seen = await within_async(FAILED_OVER, site.is_ill)
        for _ in range(5):
            await site.ask(root)
        await ada.post("/auth/logout")
        ended = await site.ask(ada)

        assert await within_async(FAILED_OVER, site.is_well)
        took = time.monotonic() - killed
        assert (await trio.replica.ask("ROLE"))[0] == b"master"
        await site.works(root)
        ended_after = await site.ask(ada)
    assert is_seen
    assert (ended, ended_after) == (401, 401)
    assert site.statuses == {200, 401}
    record("R15", "Sentinels fail over", f"no error; used again after {took:.1f} s")


async def test_a_cluster_loses_a_node_and_no_request_fails(client, settings, record):
    async with cluster() as nodes, on(settings, nodes.url) as site:
        root = await person(site.visitor, site.runtime, "root", is_superuser=True)
        people = [await person(site.visitor, site.runtime, f"ada{n}") for n in range(6)]
        await site.works(root)
        for somebody in people:
            assert await site.ask(somebody) == 200
        sizes = [await node.ask("DBSIZE") for node in nodes.primaries]
        nodes.primaries[0].kill()
        killed = time.monotonic()
        is_seen = await within_async(FAILED_OVER, site.is_ill)
        for somebody in people:
            assert await site.ask(somebody) == 200
        await people[0].post("/auth/logout")
        ended = await site.ask(people[0])

        assert await within_async(FAILED_OVER, site.is_well)
        took = time.monotonic() - killed
        await site.works(root)
        ended_after = await site.ask(people[0])
        recorded = await site.runtime.recent_requests.newest()
    assert all(sizes)  # the keys are spread
    assert {200, 401} <= {request.status for request in recorded}
    assert is_seen
    assert (ended, ended_after) == (401, 401)
    assert site.statuses == {200, 401}
    record("R15", "a node of a cluster is killed", f"no error; used again after {took:.1f} s")


async def test_a_node_of_a_cluster_by_a_plain_url_is_reported_at_the_start_and_by_doctor(
    client, settings, capsys
):
    async with one("cluster-enabled yes") as node:
        await limited_user(node)
        await node.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

        async def is_complete() -> bool:
            state = await node.ask("CLUSTER", "INFO")
            return says(state, "cluster_state:ok")

        assert await within_async(10, is_complete)
        async with on(settings, f"redis://:{ENCODED}@{node.place}/0") as site:
            started = ""

            def is_reported() -> bool:
                nonlocal started
                started += str(capsys.readouterr().out)
                return started.count(NO_CLUSTER_CLIENT) == 2

            assert await within_async(5, is_reported)
            advice = {finding.subject: finding.advice async for finding in _servers(site.runtime)}
            root = await person(site.visitor, site.runtime, "root", is_superuser=True)
            assert await site.ask(root) == 200

        async with on(settings, f"redis+cluster://app:secret@{node.place}") as site:
            root.client = site.visitor
            await site.works(root)

    assert advice["cache"] == advice["rate_limiter"] == NO_CLUSTER_CLIENT


async def limited_user(server: Valkey) -> str:
    """A user with the rights that docs/OPERATIONS.md lists, without HELLO and CLIENT."""
    rights = "+@read +@write +@scripting +@connection +info +cluster +command -client -hello"
    await server.ask("ACL", "SETUSER", "app", "on", ">secret", "~myapi:*", *rights.split())
    return f"redis://app:secret@{server.place}/0"


async def old_server(server: Valkey) -> str:
    """One that knows neither."""
    return f"redis://:{ENCODED}@{server.place}/0"


@pytest.mark.parametrize(
    ("directives", "prepare"),
    [
        ((), limited_user),
        (('rename-command HELLO ""', 'rename-command CLIENT ""'), old_server),
    ],
    ids=["a user without CLIENT", "a server without HELLO"],
)
async def test_neither_hello_nor_client_is_needed(client, settings, directives, prepare):
    async with one(*directives) as server, on(settings, await prepare(server)) as site:
        root = await person(site.visitor, site.runtime, "root", is_superuser=True)

        assert await site.is_well()
        await site.works(root)

"""R11: two instances behind the Caddyfile of deploy/, with one PostgreSQL and one Redis."""

import asyncio
import signal
from collections import Counter

import httpx

from tests.conftest import Person
from tests.faults import proxied
from tests.faults.proxied import traffic
from tests.polling import within_async

LOGIN = "/api/v1/auth/login"

shared, site = proxied.shared, proxied.site  # the fixtures
visitor, ada = proxied.visitor, proxied.ada


async def at_once(ada: Person, path: str, times: int = 20) -> list[httpx.Response]:
    """So many requests at the same time that the proxy uses both instances."""
    return await asyncio.gather(*(ada.get(path) for _ in range(times)))


async def test_logout_holds_on_both(site, ada):
    warm = await at_once(ada, "/users/me")
    await ada.post("/auth/logout")

    after = await at_once(ada, "/users/me")

    assert {answer.status_code for answer in warm} == {200}
    assert {answer.status_code for answer in after} == {401}
    assert len(+site.served("/api/v1/users/me")) == 2


async def test_a_limit_is_of_both_together(site, visitor):
    credentials = {"email": "somebody@example.com", "password": "wrong"}

    answers = await asyncio.gather(*(visitor.post(LOGIN, json=credentials) for _ in range(12)))

    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 7}
    assert len(+site.served(LOGIN)) == 2


async def test_processes_share_cached_results_and_invalidations(site, ada):
    for name in ("Ada", "Ada Lovelace", "Countess of Lovelace"):
        await ada.patch("/users/me", json={"full_name": name})

        answers = await at_once(ada, "/users/me")

        assert {answer.json()["full_name"] for answer in answers} == {name}


async def test_a_client_cannot_forge_its_address(site, ada):
    ada.client.headers["X-Forwarded-For"] = "198.51.100.9"
    await ada.login()

    sessions = (await ada.get("/auth/sessions")).json()["items"]

    assert {s["address"] for s in sessions if s["is_current"]} == {"127.0.0.1"}


async def test_when_one_is_killed_no_request_is_lost_that_can_be_asked_again(site, ada, record):
    killed, other = site.instances
    async with traffic(ada, writing=False) as statuses:
        await asyncio.sleep(0.5)
        site.instances[killed].process.send_signal(signal.SIGKILL)
        await asyncio.sleep(0.5)
        meanwhile = site.served("/api/v1/users/me")
        await asyncio.sleep(1)

    assert set(statuses) == {200}
    assert statuses[200] > 50
    assert site.served("/api/v1/users/me")[other] > meanwhile[other]
    record("R11", "one of two instances killed", f"{statuses[200]} reads, none lost")


async def test_when_one_freezes_no_request_is_lost_that_can_be_asked_again(site, ada, record):
    """S1: without passive checks. A read that it had is asked again after INSTANCE_TIMEOUT."""
    frozen, other = site.instances
    failed = site.failed_checks(frozen)
    async with traffic(ada, writing=False) as statuses:
        await asyncio.sleep(0.5)
        site.instances[frozen].process.send_signal(signal.SIGSTOP)
        try:

            def is_marked_down() -> bool:
                return bool(site.failed_checks(frozen) >= failed + 2)

            assert await within_async(10, is_marked_down)
            meanwhile = site.served("/api/v1/users/me")
            await asyncio.sleep(5)
            after = site.served("/api/v1/users/me")
        finally:
            site.instances[frozen].process.send_signal(signal.SIGCONT)

    assert set(statuses) == {200}
    assert after[other] > meanwhile[other] + 50
    record("R11", "one of two instances frozen", f"{statuses[200]} reads, none lost")


async def test_a_rolling_restart_loses_no_request(site, ada, record):
    async with traffic(ada, writing=True) as statuses:
        await asyncio.sleep(0.5)
        for port in list(site.instances):
            code = await asyncio.to_thread(site.instances[port].stop)
            assert code in {0, -signal.SIGTERM}  # uvicorn ends by the signal that asked it to
            await asyncio.to_thread(site.start, port)
            before = site.served("/api/v1/users/me")[port]

            def is_served_by(port: int = port, before: int = before) -> bool:
                return bool(site.served("/api/v1/users/me")[port] > before)

            assert await within_async(20, is_served_by)  # the proxy has looked

    assert set(statuses) == {200}
    assert statuses[200] > 100
    record("R11", "both restarted in turn", f"{statuses[200]} reads and writes, none lost")

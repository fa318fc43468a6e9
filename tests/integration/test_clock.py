"""F16: the wall clock is set back an hour while the service runs."""

import time
from collections.abc import Callable

import pytest
from limits import parse
from sqlalchemy import text

from app.core.cache import Entry, ResultCache
from app.core.cache.stores import MemoryStore, RedisStore
from app.core.limiter import HitCounter
from tests.conftest import browsing
from tests.integration.test_rate_limits import headers_of, limiting
from tests.integration.test_refresh_grace import is_live, voided
from tests.integration.test_sessions import refreshed

HOUR = 3600.0
MINUTE = parse("1/minute")


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Sets it back for this process, the libraries it uses included; Redis keeps its own."""
    now = time.time

    def set_back() -> None:
        monkeypatch.setattr(time, "time", lambda: now() - HOUR)

    return set_back


async def test_a_refusal_names_at_most_the_window(settings, client, ada, set_back):
    async with limiting(settings, read="1/minute") as app, browsing(app) as ada.client:
        await ada.get("/users/me")
        await ada.get("/users/me")
        set_back()

        refusal = await ada.get("/users/me")

    assert refusal.status_code == 429
    assert 1 <= int(refusal.headers["Retry-After"]) <= 60
    assert headers_of(refusal)[2] == int(refusal.headers["Retry-After"])


async def test_a_window_in_memory_lasts_no_longer(set_back):
    hits = HitCounter(None, "test")
    before = [await hits.hit(MINUTE, "somebody") for _ in range(2)]
    set_back()

    after = [await hits.hit(MINUTE, "somebody") for _ in range(2)]

    assert [window.is_exceeded for window in before] == [False, True]
    assert [window.is_exceeded for window in after] == [False, True]  # a window that began anew
    assert all(1 <= window.retry_after() <= 60 for window in after)


async def test_a_window_in_redis_lasts_no_longer_where_the_clock_of_redis_was_set_back(
    client, runtime
):
    """Its end is then as much farther away."""
    await HitCounter(runtime.cache, "test").hit(MINUTE, "somebody")
    key = f"test:{MINUTE.key_for('somebody')}"
    redis = runtime.cache.redis
    assert await redis.pexpire(key, int(HOUR + 60) * 1000)

    window = await HitCounter(runtime.cache, "test").hit(MINUTE, "somebody")

    assert window.is_exceeded
    assert 1 <= window.retry_after() <= 60
    assert 0 < await redis.pttl(key) <= 60_000


@pytest.mark.parametrize("is_shared", [True, False])
async def test_a_result_is_cached_no_longer_than_requested(client, runtime, set_back, is_shared):
    store = RedisStore(runtime.cache) if is_shared else MemoryStore()
    answers = ResultCache(store, "test")

    async def compute() -> bytes:
        return b"1"

    await answers.get_or_compute("key", 60, compute)
    set_back()

    assert await answers.get_or_compute("key", 60, compute) == Entry(b"1", 60, is_hit=True)


async def test_statistics_may_be_cached_by_a_browser_for_a_minute_at_most(root, set_back):
    await root.get("/dashboard/stats")
    set_back()

    hit = await root.get("/dashboard/stats")

    assert hit.headers["X-FastAPI-Cache"] == "HIT"
    assert int(hit.headers["Cache-Control"].rpartition("=")[2]) <= 60


async def test_the_grace_of_a_refresh_token_lasts_no_longer(client, runtime, ada):
    """As it is seen by a clock that was set back since the token was exchanged."""
    loser, _ = await voided(client, ada, is_used=False)
    async with runtime.session_maker() as db:
        await db.execute(text("UPDATE sessions SET rotated_at = rotated_at + interval '1 hour'"))
        await db.commit()

    assert (await refreshed(client, loser)).status_code == 401

    assert not await is_live(runtime, ada)

"""What is read from Redis at once is read in one command."""

import asyncio

import pytest
from redis.exceptions import DataError

from app.core.redis import CircuitBreaker, RedisUnavailable, connect_redis


async def commands(breaker: CircuitBreaker) -> int:
    """MGETs that Redis has served."""
    stats = await breaker.redis.info("commandstats")
    return int(stats.get("cmdstat_mget", {}).get("calls", 0))


@pytest.fixture
def breaker(runtime, client):
    return runtime.cache


async def test_concurrent_reads_are_one_command(breaker):
    await breaker.redis.mset({"a": b"1", "b": b"2"})
    before = await commands(breaker)

    answers = await asyncio.gather(
        breaker.get("a", "b"), breaker.get("missing"), breaker.get("b"), breaker.get("b", "a")
    )

    assert list(answers) == [[b"1", b"2"], [None], [b"2"], [b"2", b"1"]]
    assert await commands(breaker) == before + 1


async def test_later_reads_are_new_commands(breaker):
    await breaker.redis.set("a", b"1")
    first = await breaker.get("a")
    await breaker.redis.set("a", b"2")

    second = await breaker.get("a")

    assert (first, second) == ([b"1"], [b"2"])


async def test_a_cancelled_reader_affects_no_other_reader(breaker):
    await breaker.redis.set("a", b"1")
    one, other = (asyncio.create_task(breaker.get("a")) for _ in range(2))
    await asyncio.sleep(0)

    one.cancel()

    assert await other == [b"1"]
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_all_readers_get_the_failure_of_a_shared_command():
    redis = connect_redis("redis://127.0.0.1:1")
    breaker = CircuitBreaker("cache", redis, "test")

    answers = await asyncio.gather(*(breaker.get("a") for _ in range(3)), return_exceptions=True)

    breaker.close()
    await redis.aclose()
    assert [type(answer) for answer in answers] == [RedisUnavailable] * 3


async def test_no_caller_waits_for_a_command_that_cannot_be_sent(breaker):
    answers = await asyncio.gather(
        breaker.get("a"),
        breaker.get(object()),  # as a mistake of ours would be
        return_exceptions=True,
    )

    assert not breaker.is_open
    assert {type(answer) for answer in answers} <= {RedisUnavailable, DataError}

"""URLs of Redis: one server, Sentinels, a cluster."""

from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import SSLConnection

from app.core.config.redis import RedisAddress, parse_redis
from app.core.redis import connect_redis
from app.core.redis.client import is_direct

SECRET = "hunter2-hunter2"


def parsed(url: str) -> RedisAddress:
    return parse_redis("CACHE_REDIS_URL", SecretStr(url))


@pytest.mark.parametrize(
    "url", ["redis://cache", "rediss://app:secret@cache:6380/1", "unix:///run/valkey.sock?db=1"]
)
def test_a_plain_url_is_of_one_server(url):
    assert parsed(url) == RedisAddress("single", url)


@pytest.mark.parametrize(
    ("url", "places", "primary", "database"),
    [
        ("redis+sentinel://a,b:1,c/main", (("a", 26379), ("b", 1), ("c", 26379)), "main", 0),
        ("redis+sentinel://:p@a:1/my%20main/3", (("a", 1),), "my main", 3),
        ("redis+sentinel://u:p@[::1]:1,[::2]/main/0", (("::1", 1), ("::2", 26379)), "main", 0),
    ],
)
async def test_sentinels_are_named_with_their_primary(url, places, primary, database):
    address = parsed(url)
    redis = connect_redis(url)

    assert (address.kind, address.places, address.primary) == ("sentinel", places, primary)
    assert redis.connection_pool.connection_kwargs["db"] == database
    assert not is_direct(redis)
    await redis.aclose()


async def test_sentinels_may_need_other_credentials_than_the_primary():
    url = "rediss+sentinel://u:p@a/main?sentinel_username=s&sentinel_password=q&ssl_ca_certs=/ca"
    redis = connect_redis(url)
    pool: Any = redis.connection_pool
    sentinel = pool.sentinel_manager.sentinels[0].connection_pool

    assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("u", "p")
    assert sentinel.connection_kwargs["username"] == "s"
    assert sentinel.connection_kwargs["password"] == "q"
    assert sentinel.connection_kwargs["ssl_ca_certs"] == "/ca"
    assert issubclass(sentinel.connection_class, SSLConnection)
    assert issubclass(pool.connection_class, SSLConnection)
    await redis.aclose()


async def test_a_cluster_is_named_by_some_of_its_nodes():
    url = "rediss+cluster://u:p%40@a:1,b?ssl_check_hostname=false"
    address, redis = parsed(url), connect_redis(url)

    assert (address.kind, address.places) == ("cluster", (("a", 1), ("b", 6379)))
    assert isinstance(redis, RedisCluster)
    assert redis.connection_kwargs["password"] == "p@"
    assert redis.connection_kwargs["connection_class"] is SSLConnection
    assert redis.connection_kwargs["ssl_check_hostname"] is False
    await redis.aclose()


async def test_a_client_of_one_server_speaks_resp2_and_names_itself_nowhere():
    redis = connect_redis("redis://cache")

    assert isinstance(redis, Redis)
    assert is_direct(redis)
    assert redis.connection_pool.connection_kwargs["protocol"] == 2
    assert redis.connection_pool.connection_kwargs["driver_info"] is None
    await redis.aclose()


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://cache", "must begin with redis://"),
        ("redis+sentinel://a,b", "must be of the form redis+sentinel://"),
        ("redis+sentinel://a/main/x", "must be of the form redis+sentinel://"),
        ("redis+sentinel:///main", "must be of the form redis+sentinel://"),
        ("redis+sentinel://a:x/main", "must be of the form redis+sentinel://"),
        ("redis+cluster://a,b/1", "must be of the form redis+cluster://"),
        ("redis+cluster://", "must be of the form redis+cluster://"),
        ("redis://", "must be of the form redis://"),
        (f"redis+cluster://:{SECRET}@@a", "must be of the form redis+cluster://"),
    ],
)
def test_another_url_is_refused_by_the_settings_name_and_not_shown(url, rule):
    with pytest.raises(ValueError, match="CACHE_REDIS_URL") as caught:
        parsed(url)

    assert str(caught.value).startswith(f"CACHE_REDIS_URL {rule}")
    assert SECRET not in str(caught.value)


def test_an_address_shows_no_secret():
    for scheme in "redis", "redis+sentinel", "redis+cluster":
        url = f"{scheme}://:{SECRET}@a/" + ("main?sentinel_password=" + SECRET) * (
            scheme == "redis+sentinel"
        )
        assert SECRET not in repr(parsed(url))

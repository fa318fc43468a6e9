"""Valkey servers of a test's own in any role: primary, replica, Sentinel, node of a cluster."""

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.embedded.files import ENVIRONMENT, free_port
from app.embedded.valkey import _VALKEY
from tests.polling import within_async

PASSWORD = "a password, with: signs"
ENCODED = "a%20password%2C%20with%3A%20signs"
PRIMARY = "main"
DOWN_AFTER = 0.5
"""Seconds after which Sentinels, and the nodes of a cluster, take a server for dead."""


class Valkey:
    """A server, stopped at the start.

    Args:
        folder: for its files.
        directives: of its configuration, beside the address and the password.
    """

    def __init__(self, folder: Path, *directives: str) -> None:
        self.port = free_port()
        self._folder = folder / str(self.port)
        self._folder.mkdir()
        self._directives = directives
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> None:
        configuration = self._folder / "valkey.conf"
        if not configuration.exists():  # a Sentinel writes its own
            lines = ("bind 127.0.0.1", f"port {self.port}", 'save ""', "enable-debug-command yes")
            text = "\n".join((*lines, f"dir {json.dumps(str(self._folder))}", *self._directives))
            configuration.write_text(f"{text}\n")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_VALKEY, configuration, *arguments],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self, **options: Any) -> Redis:
        """A client of this server alone."""
        options = {"password": PASSWORD, "protocol": 2, **options}
        return Redis(host="127.0.0.1", port=self.port, **options)

    async def ask(self, *command: str | int, **options: Any) -> Any:
        async with self.client(**options) as redis:
            return await redis.execute_command(*command)

    async def answers(self, **options: Any) -> bool:
        try:
            return bool(await self.ask("PING", **options))
        except (OSError, RedisError):
            return False


_DATA = (f'requirepass "{PASSWORD}"', f'primaryauth "{PASSWORD}"', "repl-diskless-sync-delay 0")


@contextmanager
def _folder() -> Iterator[tuple[Path, ExitStack]]:
    with TemporaryDirectory(prefix="backend-api-") as folder, ExitStack() as stack:
        yield Path(folder), stack


def _started(stack: ExitStack, server: Valkey, *arguments: str) -> Valkey:
    server.start(*arguments)
    stack.callback(server.kill)
    return server


@asynccontextmanager
async def one(*directives: str) -> AsyncIterator[Valkey]:
    """A server that runs."""
    with _folder() as (folder, stack):
        server = _started(stack, Valkey(folder, *_DATA, *directives))
        assert await within_async(10, server.answers)
        yield server


class Watched:
    """A primary and a replica, and three Sentinels that watch them."""

    def __init__(self, primary: Valkey, replica: Valkey, sentinels: list[Valkey]) -> None:
        self.primary = primary
        self.replica = replica
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        places = ",".join(sentinel.place for sentinel in self.sentinels)
        return f"redis+sentinel://:{ENCODED}@{places}/{PRIMARY}/0"

    async def is_watched(self) -> bool:
        """Whether each Sentinel knows of the replica and of the other Sentinels."""
        for sentinel in self.sentinels:
            answer = await sentinel.ask("SENTINEL", "PRIMARY", PRIMARY, password=None)
            found = dict(zip(answer[::2], answer[1::2], strict=True))
            if int(found[b"num-slaves"]) != 1 or int(found[b"num-other-sentinels"]) != 2:
                return False
        return True


@asynccontextmanager
async def watched() -> AsyncIterator[Watched]:
    """A trio of Sentinels, ready to fail over."""
    with _folder() as (folder, stack):
        primary = _started(stack, Valkey(folder, *_DATA))
        replicates = f"replicaof 127.0.0.1 {primary.port}"
        replica = _started(stack, Valkey(folder, *_DATA, replicates))
        watches = (
            f"sentinel monitor {PRIMARY} 127.0.0.1 {primary.port} 2",
            f'sentinel auth-pass {PRIMARY} "{PASSWORD}"',
            f"sentinel down-after-milliseconds {PRIMARY} {int(DOWN_AFTER * 1000)}",
            f"sentinel failover-timeout {PRIMARY} 3000",
        )
        assert await within_async(10, primary.answers)
        sentinels = [_started(stack, Valkey(folder, *watches), "--sentinel") for _ in range(3)]
        for sentinel in sentinels:
            assert await within_async(10, partial(sentinel.answers, password=None))
        trio = Watched(primary, replica, sentinels)
        assert await within_async(20, trio.is_watched)
        yield trio


class Cluster:
    """Three primaries, the first with a replica."""

    def __init__(self, primaries: list[Valkey], replica: Valkey) -> None:
        self.primaries = primaries
        self.replica = replica

    @property
    def url(self) -> str:
        places = ",".join(node.place for node in self.primaries)
        return f"redis+cluster://:{ENCODED}@{places}"

    async def is_complete(self) -> bool:
        nodes = [*self.primaries, self.replica]
        states = [await node.ask("CLUSTER", "INFO") for node in nodes]
        known = "cluster_known_nodes:4"
        return all(says(state, "cluster_state:ok") and says(state, known) for state in states)

    async def has_replica(self) -> bool:
        first = await self.primaries[0].ask("INFO", "replication")
        return bool(first["connected_slaves"] == 1 and first["slave0"]["state"] == "online")


def says(state: Any, line: str) -> bool:
    """Whether the answer to INFO or CLUSTER INFO has this line."""
    if isinstance(state, dict):
        name, _, value = line.partition(":")
        return bool(state.get(name) == value)
    return bool(line.encode() in state)


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """A cluster that has all slots."""
    with _folder() as (folder, stack):
        joins = (
            "cluster-enabled yes",
            f"cluster-node-timeout {int(DOWN_AFTER * 1000)}",
            "cluster-replica-validity-factor 0",
        )
        buses = [free_port() for _ in range(4)]
        nodes = [
            _started(stack, Valkey(folder, *_DATA, *joins, f"cluster-port {bus}")) for bus in buses
        ]
        for node in nodes:
            assert await within_async(10, node.answers)
        *primaries, replica = nodes
        for number, node in enumerate(primaries):
            first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
            await node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            await nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        all_nodes = Cluster(primaries, replica)
        assert await within_async(20, all_nodes.is_complete)
        first_id = (await primaries[0].ask("CLUSTER", "MYID")).decode()
        await replica.ask("CLUSTER", "REPLICATE", first_id)
        assert await within_async(20, all_nodes.has_replica)
        yield all_nodes

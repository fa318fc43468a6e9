"""The embedded servers, for real: processes, signals, accounts and files."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil
import pytest
import redis

from app.embedded import postgres as postgres_module
from app.embedded import server as server_module
from app.embedded.account import accounts
from app.embedded.polling import within
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.server import EmbeddedServerError
from app.embedded.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.direct
SOURCE = Path(postgres_module.__file__).parents[3]
FAST = {"fsync": "off", "shared_buffers": "8MB"}
as_root = pytest.mark.as_root
with_namespaces = pytest.mark.with_namespaces

# Without the rest of the application, which takes seconds to import.
ALONE = f"""
import sys
sys.path.append({str(SOURCE)!r})
"""

# An ordinary user may not be able to read the interpreter's library: all of it is imported before.
HOLDER = f"""
{ALONE}
import encodings.idna, os, sys
from pathlib import Path
from app.embedded import postgres, valkey

name, directory, account = sys.argv[1:]
if account == "nobody":
    postgres.accounts = lambda accounts=postgres.accounts: accounts()[-1:]
elif account != "own":
    os.setgroups([])
    os.setgid(int(account))
    os.setuid(int(account))
kinds = {{"EmbeddedPostgres": postgres.EmbeddedPostgres, "EmbeddedValkey": valkey.EmbeddedValkey}}
with kinds[name](Path(directory)) as url:
    print(url, flush=True)
    sys.stdin.read()
"""

# What Windows and a production image lack.
ELSEWHERE = f"""
{ALONE}
from pathlib import Path
sys.modules["fcntl"] = sys.modules["psutil"] = None
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.server import EmbeddedServerError
from app.embedded.valkey import EmbeddedValkey

for kind in EmbeddedPostgres, EmbeddedValkey:
    assert not kind.is_available()
    try:
        kind(Path("/nowhere")).start()
    except EmbeddedServerError as error:
        assert "development" in str(error)
    else:
        raise AssertionError("it started")
"""

BUSY = """
DO $$ DECLARE until timestamptz := clock_timestamp() + interval '3 s';
BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END $$
"""


class Holder:
    """Another process that holds a server until it is told to let go."""

    def __init__(
        self,
        server: EmbeddedPostgres | EmbeddedValkey,
        account: str = "own",
        prefix: tuple[str, ...] = (),
        **environment: str,
    ) -> None:
        arguments = (type(server).__name__, str(server.directory), account)
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", HOLDER, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def url(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, self.process.communicate()
        return line

    def let_go(self) -> None:
        _, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, errors

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


def living_in(directory: Path) -> list[psutil.Process]:
    """The processes at work in `directory`, zombies not among them, with `info` as of now."""
    asked = psutil.process_iter(["cwd", "ppid", "cmdline", "uids"])
    return [p for p in asked if p.info["cwd"] and Path(p.info["cwd"]).is_relative_to(directory)]


def servers_in(directory: Path) -> list[psutil.Process]:
    """The same without the servers' own children."""
    processes = living_in(directory)
    pids = {process.pid for process in processes}
    return [process for process in processes if process.info["ppid"] not in pids]


@pytest.fixture
def holders() -> Iterator[Callable[..., Holder]]:
    with ExitStack() as stack:

        def hold(*arguments: Any, **options: Any) -> Holder:
            holder = Holder(*arguments, **options)
            stack.callback(holder.kill)
            return holder

        yield hold


def end_all(directory: Path) -> None:
    for process in living_in(directory):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert within(20, lambda: not living_in(directory))


@pytest.fixture
def place(tmp_path) -> Iterator[Path]:
    """A directory in which no process is left when the test is over, however it ended."""
    yield tmp_path
    end_all(tmp_path)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """The same, where every user may enter: pytest's own are closed to all but their owner."""
    place = Path(tempfile.mkdtemp(prefix="embedded-"))
    place.chmod(0o755)
    yield place
    end_all(place)
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def initialised(tmp_path_factory) -> EmbeddedPostgres:
    """A stopped server to copy: initdb takes longer than most of these tests."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("initialised") / "server", FAST)
    server.start()
    server.stop()
    return server


@pytest.fixture
def postgres(place, initialised) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(place / "server", FAST)
    shutil.copytree(initialised.directory, server.directory)
    shutil.copy2(initialised._beside("password"), place)
    yield server
    server.stop()


@pytest.fixture
def valkey(place) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(place / "server")
    yield server
    server.stop()


@pytest.fixture(params=["postgres", "valkey"])
def server(request) -> Any:
    return request.getfixturevalue(request.param)


def twin(server: Any) -> Any:
    return type(server)(server.directory, server.options)


def query(url: str, statement: str) -> Any:
    async def fetch() -> Any:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    # With a loop of its own making, the runner leaves pytest-asyncio's alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(fetch())


def answers(url: str) -> bool:
    if url.startswith("postgresql:"):
        return bool(query(url, "SELECT current_database() = 'app'"))
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        return bool(client.ping())


def password_of(server: Any) -> str:
    return str(server._beside("password").read_text())


def test_a_server_answers_until_it_is_stopped(server):
    url = server.start()

    assert answers(url)
    assert len(servers_in(server.directory)) == 1

    server.stop()

    assert not living_in(server.directory)


def test_data_of_postgres_survives_a_restart(postgres):
    query(postgres.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.stop()

    assert query(postgres.start(), "SELECT answer FROM kept") == 42


def test_a_context_manager_starts_and_stops(server):
    with server as url:
        assert answers(url)

    assert not living_in(server.directory)


def test_stopping_twice_or_without_a_start_does_nothing(server):
    before = set(server.directory.parent.iterdir())
    server.stop()
    assert set(server.directory.parent.iterdir()) == before

    server.start()
    server.stop()
    server.stop()


def test_starting_twice_takes_one_lease(server):
    assert server.start() == server.start()

    server.stop()

    assert not living_in(server.directory)


def test_two_leases_in_one_process_count_as_two(server):
    other = twin(server)
    url = server.start()
    assert other.start() == url

    other.stop()
    assert answers(url)

    server.stop()
    assert not living_in(server.directory)


def test_the_last_of_two_processes_stops_the_server(server, holders):
    first, second = holders(server), holders(server)
    url = first.url()
    assert second.url() == url

    first.let_go()
    assert answers(url)

    second.let_go()
    assert not living_in(server.directory)


def test_four_processes_that_start_at_once_share_one_server(server, holders):
    urls = {holder.url() for holder in [holders(server) for _ in range(4)]}

    assert len(urls) == 1
    assert len(servers_in(server.directory)) == 1


def test_the_server_of_a_killed_process_is_joined_and_then_stopped(server, holders):
    holder = holders(server)
    url = holder.url()
    holder.kill()

    assert server.start() == url
    assert answers(url)

    server.stop()
    assert not living_in(server.directory)


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(server, holders):
    holder = holders(server)
    server.start()
    url = holder.url()

    os.killpg(holder.process.pid, signal.SIGINT)
    holder.process.communicate(timeout=30)

    assert answers(url)


def test_a_start_that_is_interrupted_leaves_no_server(server, holders):
    holder = holders(server)
    assert within(20, lambda: living_in(server.directory))

    os.killpg(holder.process.pid, signal.SIGINT)
    holder.process.communicate(timeout=30)

    assert not living_in(server.directory)


def test_a_killed_server_is_started_again(server):
    server.start()
    (process,) = servers_in(server.directory)
    process.kill()

    url = server.start()

    assert answers(url)
    assert servers_in(server.directory) != [process]


def is_busy(postgres: EmbeddedPostgres) -> bool:
    """Whether one of its processes does what it was asked for."""
    for process in living_in(postgres.directory):
        with suppress(psutil.Error):
            if "DO" in " ".join(process.cmdline()).split():
                return True
    return False


def test_a_killed_postgres_is_not_started_again_while_a_child_of_it_still_works(postgres):
    psql = subprocess.Popen(
        [postgres_module._POSTGRES_BIN / "psql", postgres.start(), "-c", BUSY],
        stderr=subprocess.DEVNULL,
    )
    (postmaster,) = servers_in(postgres.directory)
    assert within(20, lambda: is_busy(postgres))
    before = living_in(postgres.directory)
    postmaster.kill()
    assert within(20, lambda: postmaster not in living_in(postgres.directory))
    orphans = living_in(postgres.directory)

    postgres.start()

    psql.wait()
    assert orphans
    assert not set(before) & set(living_in(postgres.directory))


@pytest.mark.parametrize(
    "pid", [os.getpid(), 2**22 + 1, "no number"], ids=["ours", "nobody's", "none"]
)
def test_a_stale_pid_file_is_not_believed(server, pid):
    server.start()
    server.stop()
    (server.directory / server._pid_file).write_text(
        f"{pid}\n{server.directory}\n0\n1\n\n\n\nready\n"
    )

    assert answers(server.start())


def test_no_password_but_ours_is_accepted(server):
    url = server.start()
    refusals = (asyncpg.InvalidPasswordError, redis.AuthenticationError)

    for wrong in (":wrong@", "@"):
        with pytest.raises(refusals):
            answers(url.replace(f":{password_of(server)}@", wrong))


def test_a_server_that_does_not_know_our_password_is_not_trusted(server):
    url = server.start()
    password = password_of(server)
    server._beside("password").write_text("another")

    with pytest.raises(EmbeddedServerError, match=r"server\.password") as refusal:
        twin(server).start()

    assert password not in str(refusal.value)
    assert "another" not in str(refusal.value).replace("another container", "")
    assert answers(url)


def test_a_postgres_without_passwords_is_not_trusted(postgres):
    (postgres.directory / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust")

    with pytest.raises(EmbeddedServerError, match=r"server\.password"):
        postgres.start()

    assert not living_in(postgres.directory)


def test_only_the_owner_can_read_the_data_directory(server):
    old = os.umask(0)
    try:
        server.start()
    finally:
        os.umask(old)
    modes = {path.name: path.stat().st_mode & 0o777 for path in server.directory.parent.iterdir()}

    assert modes.pop("server") == 0o700
    assert set(modes.values()) == {0o600}
    assert {"server.password", "server.log"} <= set(modes)


def test_the_password_is_in_no_command_line_and_no_log(server):
    answers(server.start())
    password = password_of(server)

    assert len(password) >= 32
    assert password not in server._beside("log").read_text()
    assert not [p for p in living_in(server.directory) if password in " ".join(p.info["cmdline"])]


@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedValkey])
def test_any_directory_will_do(place, kind):
    directory = place / "with spaces" / ("l" * 150) / """q'u"o\\t$HOME `id` é %s #"""

    with kind(directory) as url:
        assert answers(url)


def test_a_start_that_is_killed_within_initdb_does_no_harm(place, holders):
    server = EmbeddedPostgres(place / "server", FAST)
    holder = holders(server)
    assert within(20, (server._beside("new") / "data" / "base").exists)
    holder.kill()

    with server as url:
        assert answers(url)
    assert not server._beside("new").exists()


def test_the_callers_environment_changes_nothing(server, holders):
    holder = holders(
        server,
        PGDATA="/nowhere", PGHOST="/nowhere", PGPORT="1", PGUSER="who", PGDATABASE="what",
        PGOPTIONS="-c wrong=1", PGSSLMODE="require", PGPASSFILE="/nowhere", PGSERVICE="none",
        LANG="xx_XX.UTF-8", LC_ALL="xx_XX.UTF-8", TZ="Nowhere/Land",
    )  # fmt: skip

    assert answers(holder.url())


def test_a_database_that_was_dropped_is_created_again(postgres):
    query(postgres.start().replace("/app", "/postgres"), "DROP DATABASE app")

    assert answers(postgres.start())


def test_letters_of_any_script_are_letters(postgres):
    url = postgres.start()

    assert query(url, "SELECT lower('ŁÉÑΩ')") == "łéñω"
    query(url, "CREATE EXTENSION pg_trgm")
    assert query(url, "SELECT similarity('Łódź', 'Łódź') > similarity('Łódź', 'ódd')")
    assert query(url, "SELECT cardinality(show_trgm('Łódź'))") == 5


def test_a_client_that_stays_does_not_hold_up_the_stop(postgres):
    url = postgres.start()
    with subprocess.Popen(
        [postgres_module._POSTGRES_BIN / "psql", url],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ):
        begun = time.monotonic()
        postgres.stop()

        assert time.monotonic() - begun < 20  # without an end, if it waited


def test_a_server_that_does_not_start_says_why(place):
    broken = EmbeddedPostgres(place / "postgres", {"work_mem": "plenty"})

    with pytest.raises(EmbeddedServerError, match=r"work_mem.*plenty"):
        broken.start()

    assert not living_in(place)
    with EmbeddedPostgres(place / "postgres", FAST) as url:
        assert answers(url)


@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedValkey])
def test_a_port_that_is_taken_is_never_mistaken_for_ours(place, kind):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = kind(place / "server", {"port": str(taken.getsockname()[1])})

        with pytest.raises(EmbeddedServerError, match="Address already in use"):
            server.start()

    assert not living_in(place)


def test_no_more_than_two_logs_are_kept(server):
    for _ in range(3):
        server.start()
        server.stop()

    logs = {path.name for path in server.directory.parent.glob("*log*")}
    assert logs == {"server.log", "server.log.1"}


def test_a_server_is_stopped_even_where_its_directory_was_removed(server):
    server.start()
    before = living_in(server.directory)
    shutil.rmtree(server.directory.parent)

    server.stop()

    assert before
    assert within(20, lambda: not living_in(server.directory))
    assert psutil.wait_procs(before, timeout=20)[1] == []


def test_no_folder_above_changes_its_mode(server):
    folders = [*server.directory.parents]
    modes = [folder.stat().st_mode for folder in folders]

    server.start()

    assert [folder.stat().st_mode for folder in folders] == modes


def test_a_directory_that_belongs_to_something_else_is_left_alone(place):
    (place / "postgres").mkdir()
    (place / "postgres" / "thesis.txt").write_text("irreplaceable")

    with pytest.raises(EmbeddedServerError, match="DATABASE_URL"):
        EmbeddedPostgres(place / "postgres").start()

    assert (place / "postgres" / "thesis.txt").read_text() == "irreplaceable"


def test_without_the_wheels_there_is_no_server_and_the_message_says_so():
    subprocess.run([sys.executable, "-c", ELSEWHERE], check=True)


@as_root  # everybody else shows it in every other test
@pytest.mark.parametrize("uid", [65534, 12345], ids=["nobody", "a user without a name"])
@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedValkey])
def test_an_ordinary_user_needs_nothing_more(open_place, holders, kind, uid):
    directory = open_place / "home"
    directory.mkdir(mode=0o700)
    os.chown(directory, uid, uid)
    holder = holders(kind(directory / "server"), str(uid))

    assert answers(holder.url())
    assert {process.info["uids"].real for process in living_in(directory)} == {uid}

    holder.let_go()
    assert not living_in(directory)


@as_root
def test_an_ordinary_user_reads_who_owns_the_files(open_place, holders):
    server = EmbeddedValkey(open_place / "valkey")
    with server:
        pass

    _, errors = holders(server, "65534").process.communicate(timeout=30)

    assert "EmbeddedServerError" in errors
    assert "Permission denied" in errors
    assert str(open_place) in errors


@as_root
@with_namespaces
def test_where_namespaces_are_forbidden_root_becomes_nobody(open_place, monkeypatch):
    nobody = pwd.getpwnam("nobody").pw_uid
    in_namespace, in_full = accounts()
    server = EmbeddedPostgres(open_place / "postgres", FAST)
    owners = []
    for number, account in enumerate((in_full, in_namespace, in_full)):
        monkeypatch.setattr(postgres_module, "accounts", lambda account=account: [account])
        with server as url:
            query(url, f"CREATE TABLE kept_{number} AS SELECT 1")
            assert (
                query(url, "SELECT count(*) FROM pg_tables WHERE tablename ~ 'kept'") == number + 1
            )
            owners.append({p.info["uids"].real for p in living_in(server.directory)})

    assert owners == [{nobody}, {0}, {nobody}]
    assert {path.owner() for path in server.directory.rglob("*")} == {"nobody"}
    assert {path.owner() for path in open_place.iterdir() if path != server.directory} == {"root"}


@as_root
def test_root_of_a_container_may_look_into_no_process_and_yet_stops_the_server(open_place, holders):
    server = EmbeddedPostgres(open_place / "postgres", FAST)
    powerless = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
    first, second = (holders(server, "nobody", powerless) for _ in range(2))
    assert first.url() == second.url()

    first.let_go()
    assert len(servers_in(server.directory)) == 1

    second.let_go()
    assert not living_in(open_place)


@as_root
def test_where_the_account_nobody_cannot_reach_the_directory_the_message_says_what_to_do(
    place, monkeypatch
):
    everybody = accounts()
    monkeypatch.setattr(postgres_module, "accounts", lambda: everybody[1:])
    closed = place / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(EmbeddedServerError, match=r"ordinary user.*DATABASE_URL"):
        EmbeddedPostgres(closed / "postgres").start()

    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
@with_namespaces
def test_a_server_in_another_container_is_not_started_twice(postgres, holders, monkeypatch):
    container = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    url = holders(postgres, prefix=container).url()
    monkeypatch.setattr(server_module, "START_TIMEOUT", 1.0)

    with pytest.raises(EmbeddedServerError, match="another container"):
        postgres.start()

    assert answers(url)

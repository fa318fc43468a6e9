"""C28, U6: a server that cannot start says why in one line, soon, and ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from app.embedded.polling import within
from tests.conftest import PASSWORD, Servers
from tests.integration import test_cli
from tests.integration.test_cli import CLI, START, Ended, Environment, Project, Visit, visiting
from tests.launcher import answers

pytestmark = pytest.mark.direct
project = test_cli.project  # the fixture
SOON = 15  # seconds, most of which a busy machine needs to import the application


@pytest.fixture
def taken() -> Iterator[int]:
    """A port where another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def redis(servers: Servers) -> Environment:
    return {"CACHE_REDIS_URL": servers.redis, "LIMITER_REDIS_URL": servers.redis}


def changed(servers: Servers, closed: int, how: str) -> str:
    url = make_url(servers.direct)
    return {
        "password": url.set(password="hunter2"),
        "name": url.set(database="hunter2"),
        "port": url.set(port=closed),
        "host": url.set(host="no-such-host.invalid"),
    }[how].render_as_string(hide_password=False)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("password", "the server refuses the user or password"),
        ("name", "there is no database of this name on the server"),
        ("port", "nothing listens there"),
        ("host", "there is no host of this name"),
    ],
)
def test_c28_a_wrong_database_is_one_line_and_an_end(project, servers, redis, workers, how, reason):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = changed(servers, closed.getsockname()[1], how)
        began = time.monotonic()
        ended = project.cli("serve", "--port", "0", "--workers", workers, DATABASE_URL=url, **redis)

    assert time.monotonic() - began < SOON
    assert ended.code == 1
    (line,) = ended.output.splitlines()
    assert line.startswith(f"DATABASE_URL: {reason}")
    assert "hunter2" not in line


@pytest.mark.parametrize("workers", ["1", "2"])
def test_u6_a_taken_port_is_one_line_before_anything_is_started_or_shown(project, taken, workers):
    ended = project.cli("serve", SERVER_PORT=str(taken), SERVER_WORKERS=workers)

    assert ended.code == 1
    (line,) = ended.output.splitlines()
    assert line.startswith(f"SERVER_PORT {taken} is in use on 127.0.0.1")
    assert not (project.path / ".local" / "postgres").exists()
    assert project.processes() == []


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_u6_a_host_that_is_not_ours_is_one_line(project, host):
    ended = project.cli("serve", "--port", "0", SERVER_HOST=host)

    assert ended.code == 1
    (line,) = ended.output.splitlines()
    assert line == f"SERVER_HOST {host}: no address of this machine; choose one that it has"


READ_ONLY = "mkdir -p .local && mount -t tmpfs -o ro tmpfs .local"
ONLY_IPV6 = "ip link set lo up && ip address del 127.0.0.1/8 dev lo"
IN_NAMESPACE = "import os, sys; os.execvp('unshare', ['unshare', *sys.argv[1:]])"


def served_in_namespace(project: Project, change: str, *options: str, **settings: str) -> Ended:
    """`backend serve` where `change`, a command of the shell, was made to the system."""
    spaces = "--user", "--map-root-user", "--mount", "--net"
    shell = "sh", "-c", f'{change} && exec "$0" "$@"'
    serve = sys.executable, *CLI, "serve", "--port", "0", *options
    return project.run("-c", IN_NAMESPACE, *spaces, *shell, *serve, **settings)


NAMED = {"DATABASE_URL": "postgresql://somebody@127.0.0.1:1/app", "CACHE_ENABLED": "false"}
NAMED |= {"LIMITER_ENABLED": "false"}


@pytest.mark.with_namespaces
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        (READ_ONLY, {}, "read-only file system: copy the project to a folder"),
        (READ_ONLY, NAMED, "AUTH_SECRET_KEY: set one"),
        ("true", {}, "127.0.0.1, where the server would listen, cannot be reached"),
        (ONLY_IPV6, {}, "SERVER_HOST 127.0.0.1: no address of this machine; choose"),
        (ONLY_IPV6, {"SERVER_HOST": "::1"}, "bring the loopback interface up"),
    ],
    ids=["read-only", "read-only, named servers", "lo is down", "only ::1", "only ::1, for both"],
)
def test_f17_what_the_machine_does_not_have_is_a_sentence_and_an_end(
    project, change, settings, says, workers
):
    """F17"""
    began = time.monotonic()
    ended = served_in_namespace(project, change, "--workers", workers, **settings)

    assert time.monotonic() - began < SOON
    assert ended.code == 1
    assert says in ended.output
    assert len(ended.output.splitlines()) <= 2
    assert "Traceback" not in ended.output


def test_f17_the_address_that_is_shown_can_be_opened(project, servers, redis):
    url = {"DATABASE_URL": servers.direct}
    with visiting(project, *CLI, "serve", "--host", "0.0.0.0", **url, **redis) as visit:
        ended = visit.end(signal.SIGTERM)

    assert f" {visit.client.base_url.join('/health')} " in ended.output


@pytest.mark.parametrize("workers", ["1", "2"])
def test_c28_production_starts_without_its_database_and_says_so(project, servers, redis, workers):
    told = {"ENVIRONMENT": "production", "AUTH_SECRET_KEY": "k" * 32, **redis}
    url = changed(servers, 1, "password")
    arguments = *CLI, "serve", "--workers", workers
    with visiting(project, *arguments, DATABASE_URL=url, **told) as visit:
        ready = visit.client.get("/health/ready")
        ended = visit.end(signal.SIGTERM)

    assert ready.status_code == 503
    (line,) = [line for line in ended.output.splitlines() if "database_away" in line]
    assert "DATABASE_URL" in line
    assert "refuses the user or password" in line
    assert "hunter2" not in ended.output


def test_c28_plain_uvicorn_ends_with_a_readable_error(project, servers, redis):
    url = changed(servers, 1, "password")
    ended = project.run("-m", "uvicorn", "main:app", "--port", "0", DATABASE_URL=url, **redis)

    assert ended.code != 0
    assert "password authentication failed" in ended.output
    assert "hunter2" not in ended.output


def servers_of(project: Project) -> list[str]:
    """Process ids of the embedded servers."""
    files = "postgres/postmaster.pid", "valkey/valkey.pid"
    return [(project.path / ".local" / file).read_text().split()[0] for file in files]


@pytest.mark.parametrize(
    "arguments",
    [
        (*CLI, "serve", "--workers", "2"),
        (*CLI, "dev"),
        ("-m", "uvicorn", "main:app", "--workers", "2"),
    ],
    ids=["workers", "reload", "uvicorn"],
)
def test_f12_workers_and_embedded_servers_end_with_a_parent_that_is_killed(
    project, arguments, tmp_path
):
    with visiting(project, *arguments, TMPDIR=str(tmp_path)) as visit:
        visit.process.kill()
        visit.process.wait()

        assert within(START, lambda: project.processes() == [])


EDITED = (
    "admin/static/page.js",
    "admin/static/page.css",
    "admin/templates/base.html",
    "admin/routes/root.py",
    "../main.py",
)
CLOSE = {"Connection": "close"}
RELOADED = 2
"""Seconds until a change is served; 0.8 on a quiet machine."""


def seconds_to_import(project: Project) -> float:
    """What a new process takes to import the application, on this machine at this time."""
    began = time.monotonic()
    command = [sys.executable, "-c", "import main"]
    subprocess.run(command, cwd=project.path, env={**os.environ, "ENVIRONMENT": "test"}, check=True)
    return time.monotonic() - began


def test_u11_a_reload_shows_every_kind_of_file_and_keeps_the_servers(project):
    """U11: `backend dev`: templates, CSS and JS as well; PostgreSQL and Valkey stay."""
    with visiting(project, *CLI, "dev") as visit:
        before, times = servers_of(project), []
        for name in EDITED:
            path = project.path / "app" / name
            mark = "<!-- edited -->" if path.suffix == ".html" else "\n"
            worker, began = workers_of(visit), time.monotonic()
            path.write_text(path.read_text() + mark)
            assert within(START, partial(is_served_anew, visit, worker)), name
            times.append(time.monotonic() - began)
        page = visit.client.get("/api/v1/dashboard", headers={"Accept": "text/html"}).text
        after = servers_of(project)
        ended = visit.end(signal.SIGTERM)

    assert after == before
    assert "<!-- edited -->" in page
    # The fastest: the others may have met a moment in which the machine was busy.
    assert min(times) < RELOADED or min(times) < seconds_to_import(project)
    assert ended.output.count("First superuser") <= 1  # not after each reload
    assert "Traceback" not in ended.output
    assert within(START, lambda: project.processes() == [])


def test_a_session_outlives_a_reload(project):
    ada = {"email": "ada@example.com", "password": PASSWORD}
    with visiting(project, *CLI, "dev") as visit:
        visit.client.post("/api/v1/users", json=ada)
        token = visit.login(**ada).json()["access_token"]
        touch(visit, project.path / "main.py")
        me = visit.client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})
        visit.end(signal.SIGTERM)

    assert (me.status_code, me.json()["email"]) == (200, ada["email"])


@pytest.mark.parametrize(
    "arguments",
    [("-m", "fastapi", "dev"), ("-m", "uvicorn", "main:app", "--reload")],
    ids=["fastapi", "uvicorn"],
)
def test_a_reloader_of_others_keeps_the_servers(project, arguments):
    with visiting(project, *arguments) as visit:
        assert within(START, lambda: is_ready(visit))
        before = servers_of(project)
        touch(visit, project.path / "app" / "admin" / "routes" / "root.py")
        after = servers_of(project)
        ended = visit.end(signal.SIGTERM)

    assert after == before
    assert "Traceback" not in ended.output
    assert within(START, lambda: project.processes() == [])


def test_fastapi_run_serves_and_stops(project):
    with visiting(project, "-m", "fastapi", "run", "--host", "127.0.0.1") as visit:
        assert within(START, lambda: is_ready(visit))
        visit.end(signal.SIGTERM)

    assert within(START, lambda: project.processes() == [])


def test_a_mistake_in_the_code_is_mended_by_the_next_change(project):
    main = project.path / "main.py"
    right = main.read_text()
    with visiting(project, *CLI, "dev") as visit:
        main.write_text(f"{right}\nthis is no Python\n")
        assert within(START, lambda: "SyntaxError" in visit.log.read_text())
        main.write_text(right)

        assert within(START, lambda: is_ready(visit))
        visit.end(signal.SIGTERM)


def test_a_request_during_a_reload_waits_for_its_end(project):
    main = project.path / "main.py"
    statuses = set()
    with visiting(project, *CLI, "dev") as visit:
        worker = workers_of(visit)
        main.write_text(main.read_text() + "\n")
        while workers_of(visit) in (worker, set()):
            # The old worker may close a connection that the client keeps.
            statuses.add(visit.client.get("/health/live", headers=CLOSE).status_code)
        statuses.add(visit.client.get("/health/live", headers=CLOSE).status_code)
        visit.end(signal.SIGTERM)

    assert statuses == {200}


def test_production_is_not_served_with_reload(project, redis):
    told = {"ENVIRONMENT": "production", "AUTH_SECRET_KEY": "k" * 32, **redis}
    ended = project.cli("dev", DATABASE_URL="postgresql://somebody@127.0.0.1:1/app", **told)

    assert ended.code == 1
    assert "use `backend serve`" in ended.output


def test_a_reload_does_not_come_from_data_and_tests(project):
    with visiting(project, *CLI, "dev") as visit:
        worker = workers_of(visit)
        for folder in ".local", "tests":
            (project.path / folder).mkdir(exist_ok=True)
            (project.path / folder / "noise.py").write_text("")
        time.sleep(2)  # more than a reload takes to begin

        assert workers_of(visit) == worker
        visit.end(signal.SIGTERM)


def touch(visit: Visit, path: Path) -> None:
    """Change a file, and wait until a new worker serves."""
    worker = workers_of(visit)
    path.write_text(path.read_text() + "\n")
    assert within(START, partial(is_served_anew, visit, worker))


def workers_of(visit: Visit) -> set[int]:
    """The process that serves, without one that has just ended."""
    found = set()
    for child in psutil.Process(visit.process.pid).children():
        with suppress(psutil.Error):
            command = " ".join(child.cmdline())
            if "multiprocessing.forkserver" in command:
                found |= {worker.pid for worker in child.children()}
            if "--multiprocessing-fork" in command:  # of uvicorn's own reloader
                found.add(child.pid)
    return found


def is_served_anew(visit: Visit, before: set[int]) -> bool:
    """Whether another process than those before serves."""
    is_new = workers_of(visit) not in (before, set())
    return is_new and is_ready(visit)


def is_ready(visit: Visit) -> bool:
    return answers(str(visit.client.base_url.join("/health/ready")))

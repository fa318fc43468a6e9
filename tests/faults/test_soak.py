"""A brief soak, and what its judgement convicts."""

import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from app.embedded.polling import within
from tests.soak import judge
from tests.soak.ledger import Account, Answer, Bulk, Fault, Ledger
from tests.soak.service import Usage

pytestmark = pytest.mark.alone

SEED = "3"
ADA = Account("ada@example.com", id=7, sent=5, acknowledged=4)
ROW = {"email": ADA.email, "id": 7, "full_name": "4"}
LOST = Answer("GET /api/v1/users", 10, 11, 500, is_expected=False, request_id="abc")
LOGGED = '{"request_id": "abc", "event": "unhandled_exception", "logger": "app.errors"}'
RESET = Fault("Redis: connections reset", began=5, mended=9, recovered=9.5)
KILLED = Fault("process: worker killed", began=9, mended=9, recovered=12)


@contextmanager
def running(place: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """`python -m tests.soak`, whose servers lie in `place`."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.soak", *options],
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(60)


def left_in(place: Path) -> list[str]:
    """The processes that work in `place` or have it in their environment: servers and workers."""
    return [
        process.info["name"]
        for process in psutil.process_iter(["name", "cwd", "environ"])
        if str(place) in f"{process.info['cwd']} {process.info['environ']}"
    ]


def has_workers(pid: int) -> bool:
    """Whether the service that a process started has begun to start workers."""
    children = psutil.Process(pid).children(recursive=True)
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # ended meanwhile
        return any("--multiprocessing-fork" in child.cmdline() for child in children)
    return False


@pytest.fixture
def place() -> Iterator[Path]:
    # Not in pytest's own folder, which is closed to others: root runs PostgreSQL as one of them.
    with TemporaryDirectory(prefix="soak-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.timeout(240)
def test_after_a_brief_soak_everything_acknowledged_is_there(place):
    with running(place, "--brief", "--seed", SEED) as process:
        report, _ = process.communicate(timeout=200)

    assert "Findings: none" in report, report
    assert process.returncode == 0
    assert len(re.findall(r"^\| (PostgreSQL|Redis|process|client):", report, re.MULTILINE)) == 11
    assert left_in(place) == []


def test_a_soak_that_is_interrupted_leaves_no_process(place):
    with running(place, "--seed", SEED) as process:
        assert within(60, lambda: has_workers(process.pid))
        during = left_in(place)

        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert {"valkey-server", "postgres"} < set(during)
    assert process.returncode != 0
    assert left_in(place) == []


@pytest.mark.parametrize(
    ("rows", "finding"),
    [
        ([], "not in the database"),
        ([{**ROW, "id": 8}], "acknowledged as 7, and is 8"),
        ([{**ROW, "full_name": "3"}], "counter 3, acknowledged 4"),
        ([{**ROW, "full_name": "6"}], "counter 6, acknowledged 4, sent 5"),
    ],
)
def test_a_user_that_is_not_as_acknowledged_is_found(rows, finding):
    found = judge.judge_users(Ledger(accounts=[ADA]), rows)

    assert len(found) == 1
    assert finding in found[0]


def test_a_deleted_user_that_is_still_there_is_found():
    gone = Account(ADA.email, id=7, is_deleted=True)

    (found,) = judge.judge_users(Ledger(accounts=[gone]), [{**ROW, "full_name": "0"}])

    assert "acknowledged as deleted" in found


def test_users_as_acknowledged_are_no_finding():
    unknown = Account("bob@example.com"), Account("eve@example.com", id=9, is_deleted=None)

    assert judge.judge_users(Ledger(accounts=[ADA, *unknown]), [ROW]) == []


@pytest.mark.parametrize(
    ("answers", "there"),
    [([], ["a"]), ([[1, 2]], []), ([[1, 2]], ["a"]), ([[1, 2], [3, 4]], ["a", "b"])],
    ids=["half", "lost", "lost in part", "created twice"],
)
def test_a_bulk_that_is_not_there_once_and_whole_is_found(answers, there):
    rows = [{"email": email, "id": id_} for id_, email in enumerate(there, 1)]

    assert len(judge.judge_bulks(Ledger(bulks=[Bulk(["a", "b"], answers)]), rows)) == 1


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (500, None),
        (500, RESET),
        (500, KILLED),
        (503, None),
        (503, RESET),
        (0, RESET),
        (404, KILLED),
    ],
)
def test_a_status_that_no_fault_admits_is_found(status, fault):
    answer = Answer("GET /api/v1/users", 9, 10, status, is_expected=False, request_id="abc")
    ledger = Ledger(answers=[answer], faults=[fault] if fault else [])

    (found,) = judge.judge_answers(ledger, [LOGGED])

    assert f"× {status or ''}" in found
    assert "request abc, app.errors: unhandled_exception" in found
    assert (fault.name if fault else "no fault") in found


@pytest.mark.parametrize("status", [0, 503, 504])
def test_a_killed_worker_excuses_what_was_on_its_way(status):
    answer = Answer("GET /api/v1/users", 8.9, 10, status, is_expected=False)

    assert judge.judge_answers(Ledger(answers=[answer], faults=[KILLED]), []) == []


@pytest.mark.parametrize(
    ("ended", "seen", "faults"),
    [
        (3, 3.1, []),
        (3, 6, [RESET]),
        (6, 20, [RESET]),
        (6, 70, [RESET, Fault("process: worker killed", 7)]),
        (10, 10.5, [KILLED]),
    ],
    ids=["no fault", "ended before", "Redis is back", "after a minute", "Redis was there"],
)
def test_an_ended_session_that_is_accepted_is_found(ended, seen, faults):
    assert len(judge.judge_ends(Ledger(admitted=[(ended, seen)], faults=faults))) == 1


def test_while_redis_misses_an_end_the_session_may_be_accepted():
    assert judge.judge_ends(Ledger(admitted=[(6, 8)], faults=[RESET])) == []


@pytest.mark.parametrize(
    "line",
    [
        LOGGED,
        "Traceback (most recent call last):",
        '{"logger": "asyncio", "level": "error", "event": "Task exception was never retrieved"}',
    ],
)
def test_an_error_that_was_not_foreseen_is_found_in_the_log(line):
    usual = '{"logger": "app.redis", "event": "redis_is_back"}'

    assert len(judge.judge_log([usual, line])) == 1
    assert judge.judge_log([usual]) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("process: worker killed", 1, 1, 41),
        Fault("process: worker killed", 1, 1, math.inf),
        Fault("Redis: out of memory", 1, 4, 5, health=200),
        Fault("Redis: out of memory", 1, 4, 5, health=503, opened=20),
    ],
    ids=["late", "never", "unnoticed", "flapping"],
)
def test_a_fault_that_is_not_noticed_or_not_over_in_time_is_found(fault):
    assert len(judge.judge_faults([fault])) == 1
    assert judge.judge_faults([Fault("Redis: out of memory", 1, 4, 5, health=503, opened=4)]) == []


def test_a_slow_probe_and_a_worker_that_has_grown_are_found():
    before = Usage(memory=200 * 2**20, files=50)

    assert len(judge.judge_liveness([Answer("GET /health/live", 1, 4, 200, True)])) == 1
    assert len(judge.judge_usage(before, Usage(400 * 2**20, 500))) == 2
    assert judge.judge_usage(before, Usage(210 * 2**20, 60)) == []

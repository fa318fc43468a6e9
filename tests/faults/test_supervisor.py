"""F5, F12, C28: workers that die, hang or fail to start, their parent's death, and signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from app.embedded.files import free_port
from app.embedded.polling import within
from tests.launcher import launched

SOON = 2 + 2
"""Seconds until a dead worker is replaced: 2, and what a busy machine needs on top."""
HEALTHCHECK = 8
"""Seconds of silence until a worker is killed, in the tests of that."""
START = 60
"""Seconds that a busy machine may need to start workers, or to end them."""


@dataclass
class Supervised:
    """A supervisor and its workers.

    Attributes:
        folder: of `tests.faults.supervised`.
        replies: process ids that `load` got, and errors instead.
    """

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"
    replies: list[str] = field(default_factory=list)

    def set_mode(self, mode: str) -> None:
        """How workers start from now on, see `tests.faults.supervised`."""
        (self.folder / "mode").write_text(mode)

    def workers(self) -> set[int]:
        """Process ids of the workers that live."""
        found = set()
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                with suppress(psutil.Error):
                    if "--multiprocessing-fork" in child.cmdline():
                        found.add(child.pid)
        return found

    def starts(self) -> set[int]:
        """Process ids of all workers that have begun to start so far."""
        return {int(path.stem) for path in self.folder.glob("*.start")}

    def starts_another(self, begun: set[int]) -> bool:
        """Whether another worker than those of `begun` comes as far as its start, in time."""
        return within(START, lambda: bool(self.starts() - begun))

    def get(self, path: str = "/", timeout: float = 10) -> str:
        answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=timeout)
        assert answer.status_code == 200
        return answer.text

    def serving(self) -> set[int]:
        """Process ids of the workers that answer 20 requests, each on its own connection."""
        found = set()
        for _ in range(20):
            with suppress(httpx.TransportError):
                found.add(int(self.get()))
        return found

    def serve(self, count: int = 2) -> bool:
        """Whether `count` workers serve, and no other process is left, in time."""
        return within(
            START, lambda: len(self.workers()) == count and self.serving() == self.workers()
        )

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def wait(self, seconds: float) -> int:
        """The exit code."""
        return self.process.wait(seconds)

    def is_free(self) -> bool:
        """Whether nothing listens on the port."""
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/", timeout=5)
        except httpx.ConnectError:
            return True
        except httpx.TransportError:
            pass
        return False

    @contextmanager
    def load(self) -> Iterator[None]:
        """Ask again and again meanwhile, each time on a new connection."""
        is_over = threading.Event()

        def ask() -> None:
            while not is_over.is_set():
                try:
                    self.replies.append(self.get())
                except httpx.TransportError as error:
                    self.replies.append(repr(error))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            yield
        finally:
            is_over.set()
            asking.join()

    def errors(self) -> list[str]:
        return [reply for reply in self.replies if not reply.isdigit()]


@contextmanager
def supervised(
    folder: Path, mode: str = "", drain: float = 0, healthcheck: int = 60
) -> Iterator[Supervised]:
    (folder / "mode").write_text(mode)
    environment = {
        "SUPERVISED": str(folder),
        "DRAIN": str(drain),
        "HEALTHCHECK": str(healthcheck),
        "TMPDIR": str(folder),  # a supervisor that is killed leaves a folder behind
    }
    port = free_port()
    with launched(
        [sys.executable, "-m", "tests.faults.supervised", str(port)],
        folder / "log",
        lambda: True,  # in some modes no worker ever serves
        environment={**os.environ, **environment},
    ) as process:
        found = Supervised(folder, port, process)
        try:
            yield found
        finally:
            left = found.workers()
            process.kill()
            process.wait(10)
            for pid in left | found.starts():
                end(pid)


def end(pid: int) -> None:
    """Kill a worker, if the process id is still one's."""
    with suppress(psutil.Error):
        worker = psutil.Process(pid)
        if "--multiprocessing-fork" in worker.cmdline():
            worker.kill()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Supervised]:
    """Two workers that serve."""
    with supervised(tmp_path) as pair:
        assert pair.serve(), pair.log()
        yield pair


def is_replaced_soon(pair: Supervised, victim: int) -> bool:
    """Kill a worker; whether it has a successor soon."""
    before = pair.workers()
    os.kill(victim, signal.SIGKILL)
    return within(SOON, lambda: victim not in pair.workers() and bool(pair.workers() - before))


def test_f5_a_worker_is_replaced_whatever_state_it_and_the_other_are_in(pair):
    first, second = pair.workers()
    pair.set_mode("stuck")
    seen = []
    # One of two that serve, then the other while the first one's successor hangs in its start, then
    # two in a row that hang themselves.
    for chosen in (first, second, None, None):
        begun = pair.starts()
        seen.append(is_replaced_soon(pair, chosen or min(pair.workers())))
        assert pair.starts_another(begun)
    pair.set_mode("")
    for stuck in pair.workers():
        os.kill(stuck, signal.SIGKILL)
    is_served = pair.serve()

    assert seen == [True] * 4
    assert is_served


def test_f5_a_start_that_hangs_is_ended_by_the_health_check(tmp_path):
    with supervised(tmp_path, "stuck", healthcheck=HEALTHCHECK) as pair:
        assert within(START, lambda: len(pair.starts()) == 2)
        pair.set_mode("")

        assert within(HEALTHCHECK + SOON, lambda: not pair.starts() & pair.workers())
        assert pair.serve()


@pytest.mark.parametrize("how", ["SIGSTOP", "/block"])
def test_a_worker_that_hangs_is_replaced_and_the_others_meanwhile_too(tmp_path, how):
    with supervised(tmp_path, healthcheck=HEALTHCHECK) as pair:
        assert pair.serve()
        with httpx.Client(base_url=f"http://127.0.0.1:{pair.port}") as client:
            hung = int(client.get("/").text)
            (other,) = pair.workers() - {hung}
            if how == "SIGSTOP":
                os.kill(hung, signal.SIGSTOP)
            else:
                with suppress(httpx.TimeoutException):
                    client.get("/block", timeout=0.5)

        assert is_replaced_soon(pair, other)
        assert hung in pair.workers()
        assert within(HEALTHCHECK + SOON, lambda: hung not in pair.workers())
        assert pair.serve()


@pytest.mark.parametrize("signals", [["SIGTERM"], ["SIGINT"]])
@pytest.mark.parametrize("mode", ["stuck", "", "serving"])
def test_a_stop_while_workers_start_takes_effect_soon(tmp_path, signals, mode):
    with supervised(tmp_path, "stuck" if mode == "stuck" else "") as pair:
        assert within(START, lambda: len(pair.workers()) == 2)
        if mode == "serving":
            assert pair.serve()
            pair.set_mode("stuck")
            assert is_replaced_soon(pair, min(pair.workers()))
        began = time.monotonic()
        for name in signals:
            pair.process.send_signal(signal.Signals[name])
        code = pair.wait(30)
        took = time.monotonic() - began

        assert code == 0
        assert took < 10
        assert "Traceback" not in pair.log()
        assert not any(map(psutil.pid_exists, pair.starts()))


def test_ctrl_c_of_a_terminal_reaches_all_and_ends_them_quietly(tmp_path):
    with supervised(tmp_path, drain=30) as pair:
        assert pair.serve()
        pair.set_mode("stuck")
        assert is_replaced_soon(pair, min(pair.workers()))
        os.killpg(pair.process.pid, signal.SIGINT)
        code = pair.wait(20)

        assert code == 0
        assert "Traceback" not in pair.log()


@pytest.mark.parametrize("signals", [["SIGINT"], ["SIGTERM", "SIGTERM"], ["SIGTERM", "SIGINT"]])
def test_a_second_signal_and_ctrl_c_wait_for_no_drain(tmp_path, signals):
    with supervised(tmp_path, drain=30) as pair:
        assert pair.serve()
        asking = threading.Thread(target=lambda: pair.replies.append(pair.get("/slow")))
        asking.start()
        assert within(5, lambda: any(pair.folder.glob("*.slow")))
        for name in signals:
            pair.process.send_signal(signal.Signals[name])
            time.sleep(0.5)
        code = pair.wait(20)
        asking.join()

        assert code == 0
        assert len(pair.replies) == 1


def test_a_worker_that_does_not_end_is_killed_in_time(tmp_path):
    with supervised(tmp_path, drain=1) as pair:
        assert pair.serve()
        pair.set_mode("clinging")
        began = time.monotonic()
        pair.process.send_signal(signal.SIGTERM)
        code = pair.wait(20)

        assert time.monotonic() - began < 1 + 5 + 4
        assert code == 1
        assert not any(map(psutil.pid_exists, pair.starts()))


@pytest.mark.parametrize("mode", ["fail", "killed"])
def test_c28_where_no_worker_ever_starts_the_parent_says_so_and_ends(tmp_path, mode):
    with supervised(tmp_path, mode) as pair:
        code = pair.wait(START)

        assert code == 3
        assert pair.log().count("start_failed") == 1
        assert len(pair.starts()) <= 10


def test_a_successor_that_fails_to_start_is_tried_again_ever_more_slowly(pair):
    survivor, victim = pair.workers()
    before = pair.starts()
    pair.set_mode("fail")
    os.kill(victim, signal.SIGKILL)
    are_four = within(START, lambda: len(pair.starts() - before) == 4)
    served = int(pair.get())
    pair.set_mode("")
    is_served = pair.serve()

    tried = [(pair.folder / f"{pid}.start").stat().st_mtime for pid in pair.starts() - before]
    _, second, third, fourth = sorted(tried)[:4]
    assert are_four
    assert third - second > 1
    assert fourth - third > 2
    assert served == survivor
    assert is_served


def test_f12_workers_end_with_their_parent_and_finish_what_they_began(tmp_path):
    with supervised(tmp_path, drain=30) as pair:
        assert pair.serve()
        asking = threading.Thread(target=lambda: pair.replies.append(pair.get("/slow")))
        asking.start()
        assert within(5, lambda: any(pair.folder.glob("*.slow")))
        pair.process.kill()
        pair.process.wait()
        is_free = within(SOON + 2, pair.is_free)
        asking.join()

        assert is_free
        assert [reply.isdigit() for reply in pair.replies] == [True]
        assert within(START, lambda: not any(map(psutil.pid_exists, pair.starts())))


def test_f12_workers_that_start_end_with_their_parent(tmp_path):
    with supervised(tmp_path) as pair:
        assert within(START, lambda: len(pair.workers()) == 2)
        starting = pair.workers()
        pair.process.kill()
        pair.process.wait()

        assert within(START, lambda: not any(map(psutil.pid_exists, starting)))
        assert pair.is_free()


def test_sighup_replaces_the_workers_one_after_another_and_loses_nothing(tmp_path):
    with supervised(tmp_path, drain=1) as pair:
        assert pair.serve()
        before = pair.workers()
        with pair.load():
            pair.process.send_signal(signal.SIGHUP)
            is_new = within(START, lambda: not before & pair.workers() and len(pair.workers()) == 2)
        is_served = pair.serve()

        assert is_new
        assert is_served
        assert pair.errors() == []
        assert len(pair.replies) > 0


def test_a_restart_whose_first_successor_fails_keeps_the_workers(pair):
    before = pair.workers()
    pair.set_mode("fail")
    pair.process.send_signal(signal.SIGHUP)
    is_tried = within(START, lambda: len(pair.starts()) == 3)
    is_gone = within(START, lambda: pair.workers() == before)
    time.sleep(3)  # more than it would take to try again

    assert is_tried
    assert is_gone
    assert len(pair.starts()) == 3
    assert pair.serve()
    assert pair.workers() == before


def test_sigttin_and_sigttou_add_and_remove_a_worker(pair):
    before = pair.workers()
    pair.process.send_signal(signal.SIGTTIN)
    are_three = pair.serve(3)
    for _ in range(3):
        pair.process.send_signal(signal.SIGTTOU)
        time.sleep(0.5)
    is_one = pair.serve(1)

    assert are_three
    assert is_one
    assert pair.workers() < before


def test_sigusr1_and_sigusr2_are_ignored_by_the_parent_and_the_workers(pair):
    before = pair.workers()
    for pid in (pair.process.pid, *before):
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGUSR2)
    os.kill(min(before), signal.SIGHUP)  # as from a terminal that is closed: the parent decides
    time.sleep(1)

    assert pair.serve()
    assert pair.workers() == before

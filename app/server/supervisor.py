"""Supervision of web processes, here called workers: start, health check, restart and stop."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from types import FrameType

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.server.web_process import BLOCKED_SIGNALS, work

log = structlog.get_logger("app.supervisor")

CHECK_INTERVAL = 0.2
"""Seconds between two checks of signals and deadlines; the end of a worker is noticed at once."""
REPEAT = 0.3
"""Seconds between the two SIGTERM that stop a worker without its drain; two at once would be merged
into one."""
MAX_FAILURES = 3
"""Failed starts in a row, per worker, after which the supervisor gives up if none succeeded."""
MAX_PAUSE = 30.0
"""Maximum delay between two attempts to start a worker, in seconds."""
KILLED_PAUSE = 1.0
"""`MAX_PAUSE` for workers that a signal ended while they started: the configuration is not the
cause."""
MAX_WORKERS = 256
_STOPS = signal.SIGTERM, signal.SIGINT
_spawn = multiprocessing.get_context("spawn")


class _Worker:
    """The supervisor's view of a worker process.

    Attributes:
        has_started: whether it serves, or has served.
        is_old: whether a restart will replace it.
        is_killed: whether it was sent SIGKILL, and has not ended yet.
        stop_by: deadline for its stop, by the monotonic clock; None before SIGTERM.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        self._beats, beats = _spawn.Pipe(duplex=False)
        self.process = _spawn.Process(target=work, args=(config, sockets, beats))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)  # the worker inherits it
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            beats.close()
        self.heard_at = time.monotonic()
        self.has_started = self.is_old = self.is_killed = False
        self.stop_by: float | None = None

    @property
    def stays(self) -> bool:
        """Whether the worker is neither killed nor stopping."""
        return self.stop_by is None and not self.is_killed

    def listen(self) -> None:
        """Read its heartbeats."""
        with suppress(EOFError, OSError):  # the worker has ended
            while self._beats.poll():
                self.has_started = self._beats.recv_bytes() == b"serving"
                self.heard_at = time.monotonic()

    def stop(self, patience: float) -> None:
        self.process.terminate()
        self.stop_by = time.monotonic() + patience

    def kill(self, reason: str) -> None:
        log.error("worker_killed", pid=self.process.pid, reason=reason)
        self.process.kill()
        self.is_killed = True

    def close(self) -> None:
        self._beats.close()
        self.process.close()


class Supervisor:
    """Runs the configured number of workers, until a signal stops them.

    uvicorn's supervisor asks one worker after another whether it is alive, and waits for the
    answer: while one is silent, it notices neither signals nor the death of others. Here the
    workers send heartbeats, and the supervisor never waits longer than `CHECK_INTERVAL`.

    SIGTERM and SIGINT stop the workers, SIGHUP replaces them one after another, SIGTTIN and SIGTTOU
    add and remove one. SIGUSR1 and SIGUSR2 are ignored, by the workers too.

    Args:
        config: uvicorn's configuration; a worker that is silent for `timeout_worker_healthcheck` is
            killed.
        sockets: of the workers. The supervisor closes its copies when it stops, since connections
            would otherwise be queued after the workers have closed theirs.
        patience: seconds that a worker may take to stop.
    """

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], patience: float
    ) -> None:
        self._config, self._sockets, self._patience = config, sockets, patience
        self._wanted = config.workers
        self._workers: list[_Worker] = []
        self._received: list[int] = []
        self._is_stopping = self._has_served = False
        self._repeat_at: float | None = None
        self._failures = 0
        self._start_at = 0.0
        self._code = 0

    def run(self) -> int:
        """Serve until a signal is received, and all workers have ended.

        Returns:
            The exit code: 0; 1 if a worker had to be killed at the end; `STARTUP_FAILURE` if no
            worker ever started.
        """
        resource_tracker.ensure_running()  # starting it later would unblock signals
        with self._signals():
            while self._workers or not self._is_stopping:
                self._act_on_signals()
                self._listen()
                self._kill_overdue()
                self._remove_ended()
                if not self._is_stopping:
                    self._adjust()
                wait([worker.process.sentinel for worker in self._workers], CHECK_INTERVAL)
        return self._code

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def receive(received: int, _frame: FrameType | None) -> None:
            self._received.append(received)

        handled = *_STOPS, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU
        before = {number: signal.getsignal(number) for number in handled}
        for number in handled:
            if before[number] is not signal.SIG_IGN:  # `nohup` ignores SIGHUP
                signal.signal(number, receive)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _act_on_signals(self) -> None:
        while self._received:
            received = signal.Signals(self._received.pop(0))
            log.info("signal_received", signal=received.name)
            if received in _STOPS:
                self._stop(received)
            elif received == signal.SIGHUP:
                for worker in self._workers:
                    worker.is_old = True
            else:
                change = 1 if received == signal.SIGTTIN else -1
                self._wanted = min(max(self._wanted + change, 1), MAX_WORKERS)
        if self._repeat_at is not None and time.monotonic() >= self._repeat_at:
            self._repeat_at = None
            self._send(signal.SIGTERM)

    def _stop(self, received: signal.Signals) -> None:
        if self._is_stopping:
            self._send(received)
            return
        self._is_stopping = True
        for listener in self._sockets:
            listener.close()
        for worker in self._workers:
            if worker.stays:
                worker.stop(self._patience)
        if received == signal.SIGINT:
            # Not SIGINT: a terminal has already sent it to the workers, and a second one makes
            # uvicorn drop its running requests.
            self._repeat_at = time.monotonic() + REPEAT

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.process.exitcode is None and worker.process.pid:
                os.kill(worker.process.pid, number)

    def _listen(self) -> None:
        for worker in self._workers:
            had_started = worker.has_started
            worker.listen()
            if worker.has_started and not had_started:
                self._has_served, self._failures = True, 0

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.stays and now - worker.heard_at > self._config.timeout_worker_healthcheck:
                worker.kill("it hangs")
            elif worker.stop_by is not None and now > worker.stop_by and not worker.is_killed:
                worker.kill("it does not stop")
                if self._is_stopping:
                    self._code = self._code or 1

    def _remove_ended(self) -> None:
        ended = [each for each in self._workers if each.process.exitcode is not None]
        self._listen()  # a worker may have served just before it ended
        for worker in ended:
            self._workers.remove(worker)
            pid, code = worker.process.pid, worker.process.exitcode or 0
            worker.close()
            if worker.stop_by is None and not self._is_stopping:
                log.warning("worker_died", pid=pid, exit_code=code, served=worker.has_started)
                if not worker.has_started:
                    self._start_has_failed(killed=code < 0)

    def _start_has_failed(self, *, killed: bool) -> None:
        for worker in self._workers:  # cancels a restart: the next worker would fail too
            worker.is_old = False
        self._failures += 1
        if not self._has_served and (not killed or self._failures >= MAX_FAILURES * self._wanted):
            log.error("start_failed", reason="no worker could start; their log lines say why")
            self._stop(signal.SIGTERM)
            self._code = STARTUP_FAILURE
        pause = 2.0 ** min(self._failures - 2, 10) if self._failures > 1 else 0.0
        self._start_at = time.monotonic() + min(pause, KILLED_PAUSE if killed else MAX_PAUSE)

    def _adjust(self) -> None:
        """Start missing workers and stop surplus ones; in a restart, stop an old worker once a new
        one serves."""
        staying = [worker for worker in self._workers if worker.stays]
        old = [worker for worker in staying if worker.is_old]
        missing = self._wanted + bool(old) - len(staying)
        if missing > 0:
            self._start(missing)
        elif missing < 0:
            staying[-1].stop(self._patience)
        elif old and all(worker.has_started for worker in staying if not worker.is_old):
            old[0].stop(self._patience)

    def _start(self, count: int) -> None:
        for _ in range(count):
            if self._is_stopping or time.monotonic() < self._start_at:
                return
            try:
                self._workers.append(_Worker(self._config, self._sockets))
            except OSError as error:  # out of memory, processes or descriptors
                log.warning("worker_not_started", reason=repr(error))
                self._start_has_failed(killed=True)

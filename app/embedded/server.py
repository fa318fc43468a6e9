"""Base class of the embedded servers: start, stop, and leases of the processes that use one."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from errno import EROFS
from typing import IO, TYPE_CHECKING, Any, ClassVar

from app.embedded.files import free_port, locked, private, write_private
from app.embedded.polling import POLL, within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

with suppress(ImportError):  # where CAN_RUN is false
    import fcntl

    import psutil

START_TIMEOUT = 60.0  # seconds, including recovery after a crash
START_ATTEMPTS = 4  # another program may take the free port before the server does


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot be started or used; the message says why, and what to do."""


class EmbeddedServer(ABC):
    """A server, its data directory, and the leases of the processes that use it.

    Leases are `flock`s, which the kernel releases when a process is killed. The server keeps
    running if its last holder is killed; the next `start` joins it, and the `stop` after that ends
    it. A fork shares its parent's lease: take one in each process, after the fork.
    """

    _setting: ClassVar[str]  # the setting that names an external server
    _pid_file: ClassVar[str]
    _signals: ClassVar[tuple[tuple[str, float], ...]]  # sent in order, each with its timeout

    def __init__(self, directory: Path, options: Mapping[str, str] = {}) -> None:
        """`options` are settings of the server; they apply only if this process starts it."""
        self.directory = directory.resolve()  # comparable with a process's cwd
        self.options = options
        self._lease: IO[str] | None = None
        self._joined: psutil.Process | None = None

    def start(self) -> str:
        """Take a lease, then join or start the server. Call again to ensure that it is running.

        Returns:
            The URL, password included.

        Raises:
            EmbeddedServerError: the server cannot be started, reached or trusted.
        """
        if not self.is_available():
            raise EmbeddedServerError(
                f"{type(self).__name__} is not installed: add the `development` extra (some "
                f"platforms have none), or set {self._setting} to a server of your own."
            )
        with self._explained(), self._mutex():
            try:
                if self._lease is None:
                    self._lease = self._open("lease")
                    fcntl.flock(self._lease, fcntl.LOCK_SH)
                port = self._ensure_running()
                self._joined = self._process()
            except BaseException:  # also Ctrl-C: a server without a lease must not stay
                self._leave()
                raise
        return self._url(port)

    def stop(self) -> None:
        """Release the lease; the last holder stops the server. Without a lease, do nothing.

        Raises:
            EmbeddedServerError: the server does not end.
        """
        if self._lease is not None:
            with self._explained(), self._mutex():
                self._leave()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    @abstractmethod
    def is_available() -> bool:
        """Whether the server is installed and runs on this platform."""

    @abstractmethod
    def _url(self, port: int) -> str: ...

    @abstractmethod
    def _spawn(self, port: int) -> None:
        """Start the server by `_run`, detached from this process and its terminal."""

    @abstractmethod
    def _port(self) -> int | None:
        """The port of the running server; None while it does not listen."""

    @abstractmethod
    def _accepts(self, port: int) -> bool | None:
        """Whether the server at `port` accepts our password; None while it does not answer."""

    def _beside(self, suffix: str) -> Path:
        return self.directory.with_name(f"{self.directory.name}.{suffix}")

    def _open(self, suffix: str) -> IO[str]:
        return open(self._beside(suffix), "a+", opener=private)

    @contextmanager
    def _mutex(self) -> Iterator[None]:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with self._open("lock") as lock, locked(lock, fcntl.LOCK_EX):
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, psutil.Error, subprocess.SubprocessError) as error:
            if getattr(error, "errno", None) == EROFS:
                raise self._error(
                    f"{self.directory.parent} is on a read-only file system: copy the project to "
                    "a folder that you may write to."
                ) from error
            raise self._error(f"{error}. Do you own all of {self.directory.parent}?") from error

    def _error(self, fact: str) -> EmbeddedServerError:
        advice = f"Or set {self._setting} to a server of your own."
        return EmbeddedServerError(f"{type(self).__name__}: {fact} {advice}")

    def _failure(self, fact: str) -> EmbeddedServerError:
        """`_error` with the end of the log, for a server that has run no statements yet."""
        log = self._beside("log").read_text(errors="replace").splitlines()
        return self._error("\n    ".join([f"{fact}, and its log ends", *log[-15:]]) + "\n")

    def _password(self) -> str:
        path = self._beside("password")
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _process(self) -> psutil.Process | None:
        """The running server, by its pid file and its working directory: a pid alone is reused."""
        with suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            server = psutil.Process(int((self.directory / self._pid_file).read_text().split()[0]))
            try:
                is_ours = server.cwd() == str(self.directory)
            except psutil.AccessDenied:  # it runs as `nobody`, and root lacks CAP_SYS_PTRACE
                is_ours = self._is_locked()
            return server if is_ours else None
        return None

    def _is_locked(self) -> bool:
        with self._open("alive") as alive:
            try:
                with locked(alive, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    return False
            except BlockingIOError:
                return True

    def _is_alive(self) -> bool:
        """Whether any process of a server is left: the children of a killed one live on a while."""
        return self._is_locked() or self._process() is not None  # the latter: started by hand

    def _ensure_running(self) -> int:
        for _ in range(START_ATTEMPTS):
            if not self._is_alive():
                self._launch()
            port = self._port_once_ready()
            if port is not None:
                return port
        raise self._failure("the server ends as soon as it starts")

    def _launch(self) -> None:
        (self.directory / self._pid_file).unlink(missing_ok=True)  # safe: no process of it is left
        with suppress(FileNotFoundError):
            self._beside("log").replace(self._beside("log.1"))
        self._spawn(self._free_port())

    def _free_port(self) -> int:
        try:
            return free_port()
        except OSError as error:
            raise self._error(
                f"127.0.0.1, where the server would listen, cannot be reached ({error.strerror}): "
                "bring the loopback interface up, as `ip link set lo up` does."
            ) from error

    def _run(
        self, command: Sequence[Path | str], prefix: Sequence[str] = (), **options: Any
    ) -> None:
        """Run `command`; the server that it starts keeps the log open and `alive` locked.

        Raises:
            EmbeddedServerError: it failed.
        """
        with self._open("log") as log, self._open("alive") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)  # until the last process that inherits it ends
            completed = subprocess.run(
                [*prefix, *command],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[alive.fileno()],
                timeout=START_TIMEOUT,
                **options,
            )
        if completed.returncode:
            raise self._failure(f"{command[0]} failed")

    def _port_once_ready(self) -> int | None:
        """The port, once the server accepts our password; None if no server is running.

        Raises:
            EmbeddedServerError: a server is running, but not usable.
        """
        deadline = time.monotonic() + START_TIMEOUT
        fact = (
            f"no answer in {START_TIMEOUT:.0f} s. Does another container use {self.directory}? "
            f"See {self._beside('log')}."
        )
        while self._is_alive():
            port = self._port() if self._process() else None
            is_accepted = None if port is None else self._accepts(port)
            if is_accepted:
                return port
            if is_accepted is False:
                fact = (
                    f"the server refuses the password in {self._beside('password')}: "
                    f"restore that file, or remove {self.directory} and all that is in it."
                )
                deadline = min(deadline, time.monotonic() + 1)  # our server may just be ending
            if time.monotonic() > deadline:
                raise self._error(fact)
            time.sleep(POLL)
        return None

    def _leave(self) -> None:
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        with (
            lease,
            suppress(BlockingIOError),  # another process holds one
            locked(lease, fcntl.LOCK_EX | fcntl.LOCK_NB),
        ):
            self._end()

    def _end(self) -> None:
        # After an interrupted start the server may not have a pid file yet.
        within(1.0, lambda: self._process() or not self._is_alive())
        # Deleting the directory of a running server deletes its pid file too.
        server = self._process() or self._joined
        if server is None:
            return
        for name, patience in self._signals:
            with suppress(psutil.NoSuchProcess):
                server.send_signal(signal.Signals[name])
            if within(patience, lambda: not self._is_alive()):
                return
        raise self._error(f"process {server.pid} does not end: kill it.")

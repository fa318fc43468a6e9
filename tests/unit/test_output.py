"""What a process writes to standard output and standard error, however it ends."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.core.output import QueuedOutput

START = """
import logging, os, sys, time
import structlog
from app.core.config import load_settings
from app.core.logging import configure_logging
configure_logging(load_settings().replaced(log={"format": "json"}))
log = logging.getLogger("test").warning

def lines(numbers):
    for number in numbers:
        if number % 2:
            log(str(number))
        else:
            structlog.get_logger("test").warning(str(number))
"""
SECONDS = 30
"""That a process may take on a busy machine."""


def run(script: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", START + script],
        capture_output=not {"stdout", "stderr"} & options.keys(),
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "ENVIRONMENT": "test"} | options.pop("env", {}),
        **options,
    )


def events(output: str) -> list[str]:
    return [json.loads(line)["event"] for line in output.splitlines()]


@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise LookupError('no way')", 1)],
    ids=["end", "exit", "crash"],
)
def test_all_lines_before_the_end_are_written_in_order(end, code):
    ended = run(f"lines(range(5000))\n{end}")

    assert ended.returncode == code
    assert events(ended.stdout) == [str(number) for number in range(5000)]
    assert ("LookupError: no way" in ended.stderr) == ("raise" in end)


def test_what_is_printed_and_what_is_logged_keep_their_order():
    ended = run("for n in range(100): print(n); log('logged')")

    lines = ended.stdout.splitlines()
    assert lines[::2] == [str(number) for number in range(100)]
    assert all("logged" in line for line in lines[1::2])


def test_a_fork_writes_its_own_lines_and_none_of_its_parent():
    ended = run("""
lines(range(50))
if os.fork():
    os.wait()
    lines(range(50, 100))
else:
    lines(range(100, 150))
    sys.stdout.flush()
    os._exit(0)
""")

    seen = list(map(int, events(ended.stdout)))
    assert sorted(seen) == list(range(150))
    for part in range(50), range(50, 100), range(100, 150):
        assert [number for number in seen if number in part] == list(part)


def test_a_signal_handler_may_log_while_its_process_does():
    """As the garbage collector may: the lock of the queue is taken twice by one thread."""
    ended = run("""
import signal
signal.signal(signal.SIGALRM, lambda *_: structlog.get_logger("test").warning("signal"))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for number in range(20_000):
    sys.stdout.write('{"event": "%d"}\\n' % number)
signal.setitimer(signal.ITIMER_REAL, 0)
""")

    seen = events(ended.stdout)
    assert [event for event in seen if event != "signal"] == list(map(str, range(20_000)))
    assert seen.count("signal") > 10


def test_a_line_that_was_cut_off_is_ended_before_the_next_and_the_loss_is_reported(tmp_path: Path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        run(
            """
import resource
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1050, limit[1]))
lines(range(50))
sys.stdout.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
log("afterwards")
sys.stdout.flush()
log("last")
""",
            stdout=file,
        )

    whole, cut, after, report, last = _parted(path.read_text().splitlines())
    assert [line["event"] for line in whole] == list(map(str, range(len(whole))))
    assert cut.startswith("{")
    assert after["event"] == "afterwards"
    assert (report["event"], report["failed"]) == ("log_lines_dropped", 50 - len(whole))
    assert last["event"] == "last"


def _parted(lines: list[str]) -> tuple[list[Any], str, Any, Any, Any]:
    *whole, cut, after, report, last = lines
    return list(map(json.loads, whole)), cut, *map(json.loads, (after, report, last))


def test_a_pipe_that_refuses_to_wait_is_written_to_later(tmp_path: Path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"\n" * 512)
    process = subprocess.Popen(
        [sys.executable, "-c", START + "lines(range(100))\ntime.sleep(2)\nlog('last')"],
        stdout=writer,
        env={**os.environ, "ENVIRONMENT": "test"},
    )
    os.close(writer)
    time.sleep(0.5)
    with os.fdopen(reader, "rb") as read:
        lines = [line for line in read.read().decode().splitlines() if line]

    assert process.wait(SECONDS) == 0
    assert events("\n".join(lines)) == [*map(str, range(100)), "last"]


def test_a_process_does_not_wait_at_its_end_for_a_reader_that_does_not_read():
    reader, writer = os.pipe()
    began = time.monotonic()
    ended = run(
        """
began = time.monotonic()
lines(range(1000))
print(time.monotonic() - began, file=sys.stderr)
""",
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    os.close(reader)

    assert ended.returncode == 0
    assert float(ended.stderr) < 1
    assert time.monotonic() - began < SECONDS / 2


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_text_of_any_kind_is_written(encoding):
    ended = run("print('→ \\ud800')", env={"PYTHONIOENCODING": encoding})

    arrow = "→" if encoding == "utf-8" else "\\u2192"
    assert ended.stdout == f"{arrow} \\ud800\n"


def test_bytes_are_refused_as_by_any_text_stream():
    with pytest.raises(TypeError):
        QueuedOutput(None).write(b"")  # type: ignore[arg-type]


def test_a_process_without_standard_output_counts_what_it_drops():
    ended = run(
        """
lines(range(10))
from app.core.telemetry.exposition import metrics_snapshot
print(metrics_snapshot().total("log_lines_dropped_total", reason="failed"), file=sys.stderr)
""",
        preexec_fn=lambda: os.close(1),
        stderr=subprocess.PIPE,
    )

    assert ended.stderr == "10.0\n"

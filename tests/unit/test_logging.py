"""What the log looks like, whoever writes to it, and what it never says."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from io import StringIO
from typing import Any, NoReturn

import pytest
import structlog
from asgi_correlation_id import correlation_id

from app.core.config import load_settings
from app.core.logging import configure_logging

TOUCHED = (
    "",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "alembic.runtime.migration",
    "asgi_correlation_id",
)
SECRET = "hunter2"

Lines = Callable[[], list[Any]]
Configure = Callable[..., None]


@pytest.fixture
def output() -> StringIO:
    """Standard output, as logging finds it: pytest's own is another one in each phase."""
    return StringIO()


@pytest.fixture
def configure(output: StringIO) -> Iterator[Configure]:
    """Configure logging for an environment, with settings of the LOG_ section, until the end."""
    was_configured, configuration = structlog.is_configured(), structlog.get_config()
    loggers = [logging.getLogger(name) for name in TOUCHED]
    before = [
        (list(logger.handlers), logger.level, logger.propagate, logger.disabled)
        for logger in loggers
    ]

    def configure(environment: str, **log: str) -> None:
        settings = load_settings().replaced(app={"environment": environment}, log=log)
        with redirect_stdout(output):
            configure_logging(settings)

    yield configure

    for logger, (handlers, level, propagate, disabled) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate, logger.disabled = handlers, propagate, disabled
        logger.setLevel(level)
    structlog.reset_defaults()
    if was_configured:
        structlog.configure(**configuration)


@pytest.fixture
def json_lines(configure: Configure, output: StringIO) -> Lines:
    """What has been logged in production."""
    configure("production")

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    return lambda: [
        json.loads(line, parse_constant=refuse) for line in output.getvalue().splitlines()
    ]


@pytest.fixture
def text(configure: Configure, output: StringIO) -> Callable[[], str]:
    """What has been logged in development."""
    configure("development")
    return output.getvalue


@pytest.fixture
def request_id() -> Iterator[str]:
    token = correlation_id.set("f00")
    yield "f00"
    correlation_id.reset(token)


def log_in(password: str) -> None:
    """Fail with a secret among the local variables, at two depths."""
    attempt = f"pw={password}"

    def connect(*, dsn: str) -> NoReturn:
        raise ConnectionError("no route")

    connect(dsn=attempt)


def test_a_line_in_production_is_an_object(json_lines):
    structlog.get_logger("app.users").info("created", user_id=1)

    (line,) = json_lines()
    assert line.pop("timestamp")
    assert line == {"level": "info", "logger": "app.users", "event": "created", "user_id": 1}


def test_a_timestamp_is_utc(json_lines):
    structlog.get_logger("app").info("created")

    (line,) = json_lines()
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_a_line_within_a_request_has_its_id(json_lines, request_id):
    structlog.get_logger("app").info("ours")
    logging.getLogger("library").warning("theirs")

    assert [line["request_id"] for line in json_lines()] == [request_id, request_id]


def test_a_given_id_is_used(json_lines, request_id):
    structlog.get_logger("app").info("created", request_id="other")

    assert json_lines()[0]["request_id"] == "other"


def test_what_is_bound_to_the_context_is_on_every_line(json_lines):
    with structlog.contextvars.bound_contextvars(user_id=7):
        structlog.get_logger("app").info("ours")
        logging.getLogger("library").warning("theirs")

    assert [line["user_id"] for line in json_lines()] == [7, 7]


@pytest.mark.parametrize(
    "value",
    [
        'a "quoted"\nsecond line\r\x1b[31m',
        "\u2028 \U0001f642",
        "\ud800",
        b"\xff",
        object(),
        float("nan"),
        float("-inf"),
        {"in": [float("inf"), {("a", 1): None}]},
        {1, 2},
        {None: 1, "two": 2},
    ],
)
def test_whatever_is_logged_is_one_line_of_valid_json(json_lines, value):
    structlog.get_logger("app").info("said", value=value)

    (line,) = json_lines()
    assert line["event"] == "said"


def test_a_foreign_line_has_the_same_form(json_lines):
    logging.getLogger("library").warning("lost %d of %s", 3, "seven", extra={"peer": "db"})

    (line,) = json_lines()
    assert line.pop("timestamp")
    assert line == {
        "level": "warning",
        "logger": "library",
        "event": "lost 3 of seven",
        "peer": "db",
    }


def test_uvicorn_logs_each_line_once_without_colours(json_lines):
    coloured = {"color_message": "\x1b[36mStarted\x1b[0m"}
    logging.getLogger("uvicorn.error").info("Started", extra=coloured)

    (line,) = json_lines()
    assert line["event"] == "Started"
    assert "color_message" not in line


def test_uvicorns_access_log_is_silent(json_lines):
    arguments = "192.0.2.7", "GET", "/", "1.1", 200
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *arguments)

    assert json_lines() == []


def test_configuring_twice_writes_once(configure, json_lines):
    configure("production")

    structlog.get_logger("app").info("ours")
    logging.getLogger("uvicorn.error").info("theirs")

    assert [line["event"] for line in json_lines()] == ["ours", "theirs"]


@pytest.mark.parametrize("name", ["app.auth", "library"])
def test_a_traceback_in_production_has_lines_and_no_local_variables(json_lines, name):
    try:
        log_in(SECRET)
    except ConnectionError:
        structlog.get_logger(name).exception("failed")

    (line,) = json_lines()
    (failure,) = line["exception"]
    assert (failure["exc_type"], failure["exc_value"]) == ("ConnectionError", "no route")
    assert [frame["name"] for frame in failure["frames"]][-2:] == ["log_in", "connect"]
    assert SECRET not in json.dumps(line)


def test_a_foreign_traceback_in_production_has_no_local_variable_either(json_lines):
    try:
        log_in(SECRET)
    except ConnectionError:
        logging.getLogger("library").exception("failed")

    (line,) = json_lines()
    assert line["exception"][0]["exc_type"] == "ConnectionError"
    assert SECRET not in json.dumps(line)


def test_a_traceback_in_development_has_no_local_variable_either(text):
    try:
        log_in(SECRET)
    except ConnectionError:
        structlog.get_logger("app").exception("ours")
        logging.getLogger("library").exception("theirs")

    shown = text()
    assert shown.count("ConnectionError: no route") == 2
    assert SECRET not in shown


def test_settings_may_be_logged(json_lines, monkeypatch):
    monkeypatch.setenv("AUTH_SECRET_KEY", SECRET * 8)
    settings = load_settings()

    structlog.get_logger("app").info("started", settings=settings, key=settings.auth.secret_key)

    assert json_lines()[0]["key"] == "**********"
    assert SECRET not in json.dumps(json_lines())


def test_the_development_log_is_plain_text(text):
    structlog.get_logger("app.users").info("created", user_id=1)

    shown = text()
    assert not shown.startswith("{")
    assert "created" in shown
    assert "[app.users]" in shown
    assert "user_id=1" in shown
    assert "\x1b" not in shown  # no terminal, no colours


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("console", False)])
def test_the_log_format_is_a_setting(configure, output, environment, form, is_json):
    configure(environment, format=form)

    structlog.get_logger("app").info("created")

    assert output.getvalue().startswith("{") == is_json


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("DEBUG", ["debug", "info", "warning", "error"]),
        ("INFO", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("ERROR", ["error"]),
    ],
)
@pytest.mark.parametrize("get_logger", [structlog.get_logger, logging.getLogger])
def test_what_is_below_the_level_is_not_logged(configure, output, get_logger, level, expected):
    configure("production", level=level)

    for severity in "debug", "info", "warning", "error":
        getattr(get_logger("some.where"), severity)("happened")

    lines = output.getvalue().splitlines()
    assert [json.loads(line)["level"] for line in lines] == expected


def test_the_log_goes_to_standard_output_alone(configure, output, capsys):
    configure("production")

    structlog.get_logger("app").error("failed")

    assert output.getvalue()
    assert capsys.readouterr().err == ""

"""The addresses that `backend serve` shows."""

import socket
from collections.abc import Iterator

import pytest

from app.cli import serve
from app.core.config import load_settings
from app.server.run import url_of


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("fd00::1", "[fd00::1]"),
        ("localhost", "localhost"),
        ("api.example.com", "api.example.com"),
    ],
)
def test_the_printed_url_can_be_opened_in_a_browser(listening, host, shown, capsys):
    url = url_of(host, [listening])
    serve._print_addresses(load_settings(), url)

    port = listening.getsockname()[1]
    assert f" http://{shown}:{port}/health " in capsys.readouterr().out


def test_an_application_name_in_brackets_is_printed_unchanged(capsys):
    settings = load_settings().replaced(app={"app_name": "[b]API[/b]"})

    serve._print_addresses(settings, "http://localhost:8000")

    assert "[b]API[/b]" in capsys.readouterr().out

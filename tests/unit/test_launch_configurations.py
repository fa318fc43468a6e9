"""`.vscode/launch.json`: what a debugger starts is there."""

import importlib.util
import json
from pathlib import Path

import pytest
from typer.main import get_command

from app.cli import cli

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = json.loads((ROOT / ".vscode" / "launch.json").read_text())["configurations"]


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda one: one["name"])
def test_the_module_of_a_configuration_is_there(configuration):
    assert importlib.util.find_spec(configuration["module"]) is not None


def test_each_command_that_a_debugger_starts_is_one():
    commands = get_command(cli).commands  # type: ignore[attr-defined]  # a group
    started = [one["args"] for one in CONFIGURATIONS if one["module"] == "app.cli"]

    assert [command for command, *_ in started] == ["serve", "dev"]
    assert {command for command, *_ in started} <= set(commands)

"""Every command that README.md and docs/*.md show is run by a test, and fits what is there."""

import re

import pytest
import yaml

from app.core.config import load_settings, variables
from tests.documents.pages import OPERATIONS, PAGES, ROOT, SETTING, blocks_of, commands
from tests.documents.registry import ELSEWHERE, RUN, WOULD_RUN, fits


def test_every_command_has_a_test_and_every_test_a_command():
    shown, keys = commands(), [*RUN, *WOULD_RUN, *ELSEWHERE]

    assert [one for one in shown if not any(fits(one, key) for key in keys)] == []
    assert [key for key in keys if not any(fits(one, key) for one in shown)] == []


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_the_test_of_a_command_is_there(test):
    file, _, name = test.partition("::")

    assert f"def {name}(" in (ROOT / "tests" / file).read_text()


def test_ci_runs_what_is_only_named_here():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()

    assert lines[-2:] == ["make check", "make test"]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(block.text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks_of(page))
        if block.language == "sh" and block.is_settings
    ],
)
def test_settings_that_are_shown_are_accepted(settings, monkeypatch):
    for name, value in SETTING.findall(settings):
        assert name in variables()
        monkeypatch.setenv(name, re.sub(r"…|<\w+>", "x" * 32, value))

    load_settings()


def test_kubernetes_manifests_name_existing_files():
    blocks = [block.text for block in blocks_of(OPERATIONS) if "kubectl" in block.text]
    text = "\n".join(blocks)
    copies = set(re.findall(r"^cp \S+ (\S+)$", text, re.MULTILINE))
    named = set(re.findall(r"deploy/[\w./-]+", text)) - copies
    job = yaml.safe_load((ROOT / "deploy" / "k8s" / "migrate.yaml").read_text())["metadata"]

    assert all((ROOT / path).exists() for path in named)
    assert set(re.findall(r"--namespace (\S+)", text)) == {job["namespace"]}
    assert set(re.findall(r"job/(\S+)", text)) == {job["name"]}
    applied = set(re.findall(r"(?<=--filename )deploy/k8s/(\S+)", text))
    assert {"namespace.yaml", "secret.yaml", "config.yaml", "service-account.yaml"} < applied

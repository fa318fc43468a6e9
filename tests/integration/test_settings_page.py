"""The page of the settings: each with its value, source and meaning, and no secret."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, SecretStr

from app.admin.services.guides import GUIDES
from app.admin.services.settings_report import HIDDEN, NOT_SET, settings_report, shown
from app.core.config import Settings, load_settings, variables
from app.core.permissions import Permission
from tests.conftest import Person, browsing, running
from tests.integration.test_dashboard_page import PAGE, log_in
from tests.integration.test_roles import give

SETTINGS = f"{PAGE}/settings"
PASSWORD_IN_URL = "hunter2-in-a-url"


@asynccontextmanager
async def shown_to(person: Person, settings: Settings) -> AsyncIterator[httpx.Response]:
    """The page of an application with these settings."""
    async with running(settings) as app, browsing(app) as browser:
        browser.base_url = httpx.URL("https://test")
        await log_in(browser, person)
        yield await browser.get(SETTINGS)


def secrets_in(value: Any) -> Iterator[str]:
    """Every secret of the settings, nested or not."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, tuple):
        for one in value:
            yield from secrets_in(one)


def secret_settings() -> dict[str, dict[str, Any]]:
    """A value of its own for each setting that is a secret and does not have to work."""
    secret = "a-value-that-no-page-may-show"
    return {
        "app": {"first_superuser_password": SecretStr(f"{secret}-1")},
        "auth": {
            "secret_key": SecretStr(f"{secret}-2-{'x' * 32}"),
            "accepted_secret_keys": (SecretStr(f"{secret}-3"), SecretStr(f"{secret}-4")),
            "breach_check_url": f"https://us:{PASSWORD_IN_URL}@breaches.example/?{PASSWORD_IN_URL}",
        },
        "telemetry": {"scrape_token": SecretStr(f"{secret}-5")},
        "mail": {"url": SecretStr(f"smtp://us:{secret}-6@127.0.0.1:9")},
    }


async def test_no_secret_of_the_settings_is_on_the_page(settings, root: Person):
    secretive = settings.replaced(**secret_settings())
    async with shown_to(root, secretive) as page:
        hidden = [secret for secret in secrets_in(secretive) if secret]

    assert page.status_code == 200
    assert len(hidden) >= 9
    assert [secret for secret in hidden if secret in unescape(page.text)] == []
    assert PASSWORD_IN_URL not in page.text
    assert f"https://us:{HIDDEN}@breaches.example/?{HIDDEN}" in page.text


async def test_every_setting_is_shown_with_its_meaning(settings, root: Person):
    async with shown_to(root, settings) as page:
        text = unescape(page.text)

    names = re.findall(r"<dt><code>(\w+)</code></dt>", page.text)
    assert names == list(variables())
    for name, (section, field) in variables().items():
        assert f"<small>{section.model_fields[field].description}</small>" in text, name


async def test_a_role_with_every_permission_is_not_enough(settings, root: Person, ada: Person):
    await give(root, ada, *(permission.value for permission in Permission))
    async with shown_to(ada, settings) as page:
        pass

    assert page.status_code == 403
    assert SETTINGS not in page.text


def test_the_source_of_a_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    env_file = tmp_path / ".env"
    env_file.write_text("SERVER_WORKERS=3\nSERVER_DRAIN=7\n")
    monkeypatch.setenv("SERVER_DRAIN", "9")
    settings = load_settings(env_file).replaced(cache={"redis_url": SecretStr("redis://x")})

    groups = settings_report(settings, frozenset({"SERVER_WORKERS", "SERVER_DRAIN"}))
    found = {one.name: (one.value, one.source) for group in groups for one in group.settings}

    assert found["SERVER_WORKERS"] == ("3", ".env")
    assert found["SERVER_DRAIN"] == ("9", "environment")
    assert found["SERVER_PORT"] == ("8000", "default")
    assert found["CACHE_REDIS_URL"] == (HIDDEN, "start")
    assert found["AUTH_PASSKEY_RP_ID"] == (NOT_SET, "default")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, NOT_SET),
        ((), NOT_SET),
        (False, "false"),
        (0, "0"),
        (30.0, "30"),
        (31_536_000.0, "31536000"),
        (("a", "b"), "a, b"),
        (SecretStr(""), NOT_SET),
        (SecretStr("x"), HIDDEN),
        ((SecretStr("x"), SecretStr("y")), f"{HIDDEN}, {HIDDEN}"),
        (Path("/x"), "/x"),
        ("https://example.com/a", "https://example.com/a"),
        ("https://token@example.com/a", f"https://{HIDDEN}@example.com/a"),
        ("http://[x", HIDDEN),
        ("https://u:p@example.com/?key=1#f", f"https://u:{HIDDEN}@example.com/?{HIDDEN}"),
    ],
)
def test_values_are_shown_without_secrets(value, text):
    assert shown(value) == text


def test_the_guides_name_parts_of_the_docs(repository: Path):
    for guide in GUIDES:
        headings = re.findall(r"^#+ (.+)$", (repository / guide.file).read_text(), re.MULTILINE)
        assert guide.heading in headings, guide

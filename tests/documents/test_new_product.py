"""`backend new product`, on a copy of the project."""

import json
from typing import get_args
from urllib.parse import quote

import pytest

from app.admin.cookies import CookieName, name_of
from app.core.config.sections import AppSettings
from app.core.security import api_keys
from tests.documents.conftest import Checkout

OLD = AppSettings.model_fields["app_name"].default
NEW = "Acme API" if OLD != "Acme API" else "Zenith API"
"""Another one in a clone that was renamed."""
HYPHENED, KEY = NEW.replace(" ", "-"), NEW.replace(" ", "_").lower()
SPELLINGS = (
    OLD,
    quote(OLD),
    OLD.replace(" ", "-"),
    OLD.replace(" ", "-").lower(),
    rf"\b{api_keys.PREFIX}",
    *(name_of(cookie, AppSettings(environment="development")) for cookie in get_args(CookieName)),
)
"""All that bears the old name."""
CHECKS = (
    "tests/unit tests/integration/test_dashboard_page.py tests/integration/test_principal_cache.py "
    "tests/integration/test_rate_limits.py::test_two_products_on_one_redis_count_apart "
    "tests/clients/test_openapi.py"
)
"""The tests that know the name, a cookie or a prefix."""

pytestmark = [pytest.mark.direct, pytest.mark.timeout(600)]


def test_a_renamed_product_passes_every_check(checkout: Checkout):
    said = checkout.run(f".venv/bin/backend new product '{NEW}'")
    again = checkout.run(f".venv/bin/backend new product '{NEW}' && exit 1 || true")
    places = "--exclude-dir=.venv --exclude-dir=.mypy_cache"
    left = checkout.run(f"grep -rIlE '{'|'.join(SPELLINGS)}' . {places} || true")
    # The copy has the packages of this very run, which `make` must not install again.
    checkout.run("touch .venv/installed .venv/installed-dev; git init -q .; make check-code")
    tests = checkout.run(f".venv/bin/python -m pytest -n 0 -q {CHECKS}")

    assert f"say {NEW} instead of {OLD}" in said
    assert f"is called {NEW} already" in again
    assert set(left.split()) <= {"./LICENSE", "./CHANGELOG.md"}
    assert "failed" not in tests
    document = json.loads((checkout.path / "docs" / "openapi.json").read_text())
    assert document["info"]["title"] == NEW
    assert (checkout.path / "postman" / f"{HYPHENED}.postman_environment.json").exists()
    assert f'name = "{HYPHENED.lower()}"' in (checkout.path / "pyproject.toml").read_text()
    assert f"CACHE_PREFIX={KEY}:cache" in (checkout.path / ".env.example").read_text()
    keys = (checkout.path / "app" / "core" / "security" / "api_keys.py").read_text()
    assert f'PREFIX = "{KEY}_"' in keys


def test_a_name_of_forty_characters_passes_lint(checkout: Checkout):
    checkout.run(".venv/bin/backend new product 'Northwind Traders Order And Delivery API'")

    checkout.run(".venv/bin/ruff check . && .venv/bin/ruff format --check .")


@pytest.mark.parametrize("name", ["", "9 Lives", "Acme/API", "Acme  API", "A" * 41])
def test_a_name_that_is_not_possible_is_refused(checkout: Checkout, name):
    refused = checkout.run(f".venv/bin/backend new product '{name}' && exit 1 || true")

    assert "cannot be the name" in refused

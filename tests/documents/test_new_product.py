"""`backend new product`, on a copy of the project."""

import json

import pytest

from tests.documents.conftest import Checkout

CHECKS = (
    "tests/unit tests/integration/test_dashboard_page.py tests/integration/test_rate_limits.py "
    "tests/integration/test_principal_cache.py tests/clients/test_openapi.py"
)
"""The tests that know the name, a cookie or a prefix."""

pytestmark = [pytest.mark.direct, pytest.mark.timeout(600)]


def test_a_renamed_product_passes_every_check(checkout: Checkout):
    said = checkout.run(".venv/bin/backend new product 'Acme API'")
    again = checkout.run(".venv/bin/backend new product 'Acme API' && exit 1 || true")
    # The copy has the packages of this very run, which `make` must not install again.
    checkout.run("touch .venv/installed .venv/installed-dev; git init -q .; make check-code")
    tests = checkout.run(f".venv/bin/python -m pytest -n 0 -q {CHECKS}")

    assert "say Acme API instead of Backend API" in said
    assert "is called Acme API already" in again
    assert "failed" not in tests
    document = json.loads((checkout.path / "docs" / "openapi.json").read_text())
    assert document["info"]["title"] == "Acme API"
    assert (checkout.path / "postman" / "Acme-API.postman_environment.json").exists()
    assert 'name = "acme-api"' in (checkout.path / "pyproject.toml").read_text()
    assert "CACHE_PREFIX=acme_api:cache" in (checkout.path / ".env.example").read_text()


@pytest.mark.parametrize("name", ["", "9 Lives", "Acme/API", "Acme  API", "A" * 41])
def test_a_name_that_is_not_possible_is_refused(checkout: Checkout, name):
    refused = checkout.run(f".venv/bin/backend new product '{name}' && exit 1 || true")

    assert "cannot be the name" in refused

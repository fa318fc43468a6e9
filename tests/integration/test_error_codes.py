"""Codes in errors: what programs compare, in the details of every refusal."""

import re
from typing import get_args

import pytest
from pydantic_core.core_schema import ErrorType

from app.core.details import DetailCode, code_of
from tests.conftest import PASSWORD

NEW = {"email": "new@example.com", "password": PASSWORD}


def code(response, field):
    (detail,) = [one for one in response.json()["details"] if one["field"] == field]
    return detail["code"]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("email", "no email", "malformed"),
        ("email", "taken@example.com", "taken"),
        ("email", "x" * 255, "too_long"),
        ("email", "ada@printer.local", "not_allowed"),
        ("email", 1, "wrong_type"),
        ("username", "a b", "malformed"),
        ("full_name", " ", "too_short"),
        ("full_name", "x" * 201, "too_long"),
        ("password", "short", "weak_password"),
        ("password", "", "too_short"),
        ("is_active", "yes", "wrong_type"),
        ("is_admin", True, "unknown"),
    ],
)
async def test_a_new_user_is_refused_with_a_code(root, field, value, expected):
    await root.post("/users", json={**NEW, "email": "taken@example.com"})

    refused = await root.post("/users", json={**NEW, field: value})

    assert refused.status_code in {409, 422}
    assert code(refused, field) == expected


async def test_a_field_that_is_missing_or_not_allowed_has_a_code(ada):
    missing = await ada.post("/users", json={"email": "new@example.com"})
    not_allowed = await ada.patch("/users/me", json={"is_superuser": True})

    assert code(missing, "password") == "missing"
    assert code(not_allowed, "is_superuser") == "not_allowed"


@pytest.mark.parametrize(
    ("path", "field", "expected"),
    [
        ("/users?size=0", "size", "out_of_range"),
        ("/users?size=101", "size", "out_of_range"),
        ("/users?page=one", "page", "malformed"),
        ("/users?sort_by=age", "sort_by", "not_a_choice"),
        ("/users?serach=x", "serach", "unknown"),
        ("/users?page=1&page=2", "page", "repeated"),
        ("/users/cursor?cursor=x", "cursor", "malformed"),
        ("/users/0", "user_id", "out_of_range"),
    ],
)
async def test_a_parameter_is_refused_with_a_code(root, path, field, expected):
    assert code(await root.get(path), field) == expected


async def test_a_password_change_is_refused_with_a_code(ada):
    change = {"current_password": "wrong", "new_password": "another correct horse"}
    wrong = await ada.post("/auth/password", json=change)
    weak = await ada.post(
        "/auth/password", json={"current_password": PASSWORD, "new_password": "short"}
    )

    assert code(wrong, "current_password") == "wrong_password"
    assert code(weak, "new_password") == "weak_password"


async def test_every_bad_row_of_a_list_has_a_code(root):
    rows = [NEW, {**NEW, "username": "other"}, {"email": "no email", "password": PASSWORD}]

    report = await root.post("/users/bulk?dry_run=true", json=rows)

    assert [(d["index"], d["field"], d["code"]) for d in report.json()["details"]] == [
        (1, "email", "repeated"),
        (2, "email", "malformed"),
    ]


def test_every_type_of_pydantics_errors_has_a_code():
    assert {code_of(kind) for kind in get_args(ErrorType)} <= set(get_args(DetailCode))
    assert code_of("is_new_in_the_next_version") == "invalid"


def test_the_page_for_clients_has_every_code(repository):
    page = (repository / "docs" / "CLIENTS.md").read_text()
    table = page.partition("## Errors")[2].partition("\n## ")[0]
    codes = {code for row in table.splitlines() for code in re.findall(r"`(\w+)`", row[:99])}

    assert codes >= set(get_args(DetailCode))

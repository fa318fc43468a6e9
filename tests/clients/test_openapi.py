"""The OpenAPI document: kept, so that a change shows in review, and fit to make clients of."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from main import app

KEPT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def operations() -> Iterator[dict[str, Any]]:
    for methods in app.openapi()["paths"].values():
        yield from methods.values()


def schemas_within(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema of a body that stands in an operation itself."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "content":
                yield from (media["schema"] for media in value.values())
            else:
                yield from schemas_within(value)


def test_the_committed_document_is_what_is_served():
    assert json.loads(KEPT.read_text()) == app.openapi(), "after a change: make openapi"


def test_spectral_finds_nothing_amiss(node):
    report = node("spectral", "lint", "--fail-severity", "hint", KEPT)

    assert report.returncode == 0, report.stdout


def test_redocly_finds_nothing_amiss(node):
    report = node("redocly", "lint", KEPT)

    assert report.returncode == 0, report.stdout


def test_every_operation_says_who_may_call_it():
    public = {operation["operationId"] for operation in operations() if operation["security"] == []}
    with_or_without = [
        operation["operationId"] for operation in operations() if {} in operation["security"]
    ]

    assert public >= {"login", "login_form", "refresh", "health", "live", "ready"}
    assert public.isdisjoint({"get_me", "list_users", "prometheus_metrics", "get_dashboard_stats"})
    assert with_or_without == ["create_user"]


def test_every_response_says_what_it_means():
    phrases = {status.phrase for status in HTTPStatus} | {"Successful Response", ""}
    bare = [
        (operation["operationId"], status)
        for operation in operations()
        for status, answer in operation["responses"].items()
        if answer["description"] in phrases
    ]

    assert bare == [], "give the route a response_description="


def test_every_operation_says_what_it_is():
    for operation in operations():
        assert operation["summary"]
        assert operation["description"]
        assert operation["operationId"].isidentifier()
        assert len(operation["tags"]) == 1


def test_every_json_body_has_a_name():
    anonymous = [
        operation["operationId"]
        for operation in operations()
        for schema in schemas_within(operation)
        if schema.get("type") == "object"
    ]

    assert anonymous == []


def test_every_refusal_has_the_one_schema():
    for operation in operations():
        for status, answer in operation["responses"].items():
            if status[0] in "45" and operation["tags"] != ["health"]:
                is_oauth = (operation["operationId"], status) == ("login_form", "400")
                name = "OAuthErrorSchema" if is_oauth else "ErrorSchema"
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": f"#/components/schemas/{name}"}


def is_shown(value: dict[str, Any]) -> bool:
    """Whether it has an example, or tells all that it can be."""
    kinds = {"boolean", "array", "object"}
    return any(
        one.get("type") in kinds or one.keys() & {"examples", "$ref", "enum", "const"}
        for one in [value, *value.get("anyOf", [])]
    )


def test_every_value_has_an_example():
    bare = [
        f"{name}.{field}"
        for name, schema in app.openapi()["components"]["schemas"].items()
        for field, value in schema.get("properties", {}).items()
        if name not in {"Body_login_form", "RefusedRow"}  # FastAPI's own
        and "examples" not in schema
        and not is_shown(value)
    ]

    assert bare == []

"""The Postman collections know every operation."""

import json
import re
from pathlib import Path

from main import app

COLLECTIONS = sorted(
    (Path(__file__).resolve().parents[2] / "postman").glob("*.postman_collection.json")
)


def requested() -> set[tuple[str, str]]:
    """Method and path of each request, with `{}` for whatever varies."""
    requests = [
        item["request"] for file in COLLECTIONS for item in json.loads(file.read_text())["item"]
    ]
    return {
        (
            request["method"],
            re.sub(r"\{\{\w+\}\}|(?<=/)\d+", "{}", "/" + "/".join(request["url"]["path"])),
        )
        for request in requests
    }


def test_every_operation_has_a_request():
    operations = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }

    missing = sorted(operations - requested())
    assert not missing, (
        f"add a request with a test to a collection in postman/ for each of {missing}"
    )


def test_every_request_is_tested():
    items = [item for file in COLLECTIONS for item in json.loads(file.read_text())["item"]]

    assert [
        item["name"] for item in items if not any(e["listen"] == "test" for e in item["event"])
    ] == []

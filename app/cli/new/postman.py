"""The Postman collection of a new resource: requests for every operation, each tested."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.core.config import ROOT

_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_LOGIN = """{"email": "{{superuser_email}}", "password": "{{superuser_password}}"}"""
_KEEP_LOGIN = "pm.collectionVariables.set('token', pm.response.json().access_token);"


def _product() -> str:
    (environment,) = (ROOT / "postman").glob("*.postman_environment.json")
    return environment.name.removesuffix(".postman_environment.json")


def file_of(plural: str) -> str:
    """The path of a collection.

    Args:
        plural: name of the resource, such as `LineItems`.
    """
    return f"postman/{_product()}.{plural}.postman_collection.json"


def collection(context: Mapping[str, Any]) -> dict[str, Any]:
    """The collection, as JSON.

    Args:
        context: of the templates.
    """
    token = {"key": "token", "value": "{{token}}", "type": "string"}
    login = _request("Log in as superuser", "POST", 200, "auth", "login", body=_LOGIN)
    login["request"]["auth"] = {"type": "noauth"}
    _tests(login).append(_KEEP_LOGIN)
    return {
        "info": {
            "name": f"{_product().replace('-', ' ')}: {context['Words']}",
            "description": "Needs superuser_email and superuser_password in the environment.",
            "schema": _SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [token]},
        "item": [login, *_needed(context["refs"]), *_own(context)],
    }


def _own(context: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name, path, words = context["name"], context["path"], context["words"]
    one, row_id = context["a_word"], f"{{{{{name}_id}}}}"
    values = [
        f"{json.dumps(field['name'])}: {json.dumps(field['kind'].examples[0])}"
        for field in context["plain"]
    ]
    values += [f'"{field["name"]}": {{{{{field["target"]}_id}}}}' for field in context["refs"]]
    change = {field["name"]: field["kind"].examples[1] for field in context["plain"]}
    listed = (
        "pm.test('it is listed', () => pm.expect(pm.response.json().items.map(row => row.id))"
        f".to.include(pm.collectionVariables.get('{name}_id')));"
    )
    created = _request(f"Create {one}", "POST", 201, path, body=f"{{{', '.join(values)}}}")
    _tests(created).append(f"pm.collectionVariables.set('{name}_id', pm.response.json().id);")
    yield created
    yield _request(f"Create {one} with an unknown field", "POST", 422, path, body='{"unknown": 1}')
    for title, more in (("", ()), (" by cursor", ("cursor",))):
        request = _request(f"List {words}{title}", "GET", 200, path, *more)
        _tests(request).append(listed)
        yield request
    yield _request(f"Export {words}", "GET", 200, path, "export")
    yield _request(f"Read {one}", "GET", 200, path, row_id)
    yield _request(f"Change {one}", "PATCH", 200, path, row_id, body=json.dumps(change))
    yield _request(f"Delete {one}", "DELETE", 204, path, row_id)
    yield _request(f"Read {one} that was deleted", "GET", 404, path, row_id)


def _needed(refs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Requests that create the rows referred to: those of their own collections."""
    for target, field in {field["target"]: field for field in refs}.items():
        if target == "user":
            request = _request("Read oneself", "GET", 200, "users", "me")
            _tests(request).append("pm.collectionVariables.set('user_id', pm.response.json().id);")
            yield request
            continue
        file = ROOT / file_of("".join(map(str.capitalize, field["table"].split("_"))))
        for item in json.loads(file.read_text())["item"][1:]:  # after the login
            yield item
            parts = item["request"]["url"]["path"]
            if item["request"]["method"] == "POST" and parts[-1] == field["target_path"]:
                break


def _request(
    name: str, method: str, status: int, *path: str, body: str | None = None
) -> dict[str, Any]:
    parts = ["api", "v1", *path]
    request: dict[str, Any] = {
        "method": method,
        "header": [{"key": "Content-Type", "value": "application/json"}] if body else [],
        "url": {
            "raw": f"{{{{base_url}}}}/{'/'.join(parts)}",
            "host": ["{{base_url}}"],
            "path": parts,
        },
    }
    if body is not None:
        request["body"] = {"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}
    test = f"pm.test('status is {status}', () => pm.response.to.have.status({status}));"
    script = {"type": "text/javascript", "exec": [test]}
    return {
        "name": name,
        "event": [{"listen": "test", "script": script}],
        "request": request,
        "response": [],
    }


def _tests(request: Mapping[str, Any]) -> list[str]:
    """The lines of a request's test script."""
    lines: list[str] = request["event"][0]["script"]["exec"]
    return lines

"""Bad input is a 4xx in the contract's shape, whatever kind of bad it is."""

import json

import pytest

JSON = {"Content-Type": "application/json"}
DEEP = b"[" * 100_000
LOGIN = "/api/v1/auth/login"
USERS = "/api/v1/users"


def refused(response) -> None:
    assert 400 <= response.status_code < 500, response.text
    assert set(response.json()) - {"error_description"} == {
        "error",
        "message",
        "details",
        "request_id",
    }


@pytest.mark.parametrize("path", [LOGIN, USERS, "/api/v1/auth/refresh"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"NaN",
        b"Infinity",
        b"{} {}",
        b"\x00",
        b"\xff\xfe\x00",
        b'{"email": "\xff"}',
        '{"email": "ä"}'.encode("utf-16"),
        '{"email": "ä"}'.encode("latin-1"),
        b'{"email": "\\ud800", "password": "\\ud800", "refresh_token": "\\ud800"}',
        b'{"email": "\\u0000", "password": "\\u0000x", "refresh_token": "\\u0000"}',
        b'{"email": NaN, "password": NaN, "refresh_token": NaN}',
        b'{"email": 1e999, "password": -0, "refresh_token": {}}',
        b'{"email": ' + b"9" * 5000 + b', "password": "x", "refresh_token": 1}',
        DEEP,
        b'{"email": ' + DEEP + b"}",
        b'{"a":' * 50_000,
        b"x" * 2_000_000,
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value,
)
async def test_an_invalid_body_is_refused(client, path, content):
    refused(await client.post(path, content=content, headers=JSON))


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/json; charset=utf-16",
        "multipart/form-data",
        "",
    ],
)
async def test_a_body_of_another_type(client, content_type):
    content = json.dumps({"email": "a@example.com", "password": "x"})

    refused(await client.post(LOGIN, content=content, headers={"Content-Type": content_type}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"username=%00&password=x",
        b"username=a%00b@example.com&password=x",
        b"username=%ff&password=%ff",
        b"username=%ED%A0%80&password=x",
        b"grant_type=other&username=a&password=b",
        b"username=" + b"a" * 500_000 + b"&password=b",
        b"&" * 5000,
    ],
    ids=lambda value: repr(value[:24]),
)
async def test_an_invalid_form_is_refused(client, content):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    refused(await client.post("/api/v1/auth/token", content=content, headers=headers))


@pytest.mark.parametrize(
    "query",
    [
        "page=NaN",
        "page=1e3",
        "page=%00",
        "page=-1",
        "page=99999999999999999999",
        "size=1&page=9223372036854775807",
        "page=%ff",
        "page=" + "9" * 5000,
    ],
)
async def test_an_invalid_query_is_refused(root, query):
    refused(await root.get(f"/users?{query}"))


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/users/%00",
        "/api/v1/users/" + "9" * 5000,
        "/%00",
        "/%ff%fe",
        "/../../etc/passwd",
    ],
)
async def test_an_invalid_path_is_refused(root, path):
    headers = {"Authorization": f"Bearer {root.tokens['access_token']}"}

    refused(await root.client.get(path, headers=headers))


@pytest.mark.parametrize("method", ["PUT", "TRACE", "FOO", "PROPFIND"])
async def test_an_unsupported_method_is_refused(client, method):
    refused(await client.request(method, LOGIN))


@pytest.mark.parametrize("value", [0, 1, "true", "no"])
async def test_a_flag_is_nothing_but_true_or_false(ada, root, value):
    response = await root.patch(f"/users/{ada.id}", json={"is_active": value})

    assert response.status_code == 422

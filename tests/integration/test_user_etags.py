"""`ETag`, `If-Match` and `Location` of users."""

import asyncio

import pytest

from tests.conftest import PASSWORD


async def test_a_new_user_has_a_location_and_an_etag(root):
    body = {"email": "new@example.com", "password": PASSWORD}
    created = await root.post("/users", json=body)

    found = await root.get(created.headers["location"].removeprefix("/api/v1"))

    assert found.json() == created.json()
    assert found.headers["etag"] == created.headers["etag"]


@pytest.mark.parametrize("path", ["/users/me", "/users/{id}"])
async def test_a_change_with_the_current_etag_is_made_and_with_an_old_one_a_412(ada, path):
    path = path.format(id=ada.id)
    old = {"If-Match": (await ada.get(path)).headers["etag"]}

    changed = await ada.patch(path, json={"full_name": "Ada"}, headers=old)
    refused = await ada.patch(path, json={"full_name": "Lady Ada"}, headers=old)

    now = await ada.get(path)
    assert (changed.status_code, refused.status_code) == (200, 412)
    assert refused.json()["error"] == "precondition_failed"
    assert now.json()["full_name"] == "Ada"
    assert now.headers["etag"] == changed.headers["etag"] != old["If-Match"]


async def test_of_two_changes_at_once_with_one_etag_one_is_made(ada):
    etag = {"If-Match": (await ada.get("/users/me")).headers["etag"]}
    names = [{"full_name": name} for name in ("Ada", "Augusta")]

    answers = await asyncio.gather(
        *(ada.patch("/users/me", json=name, headers=etag) for name in names)
    )

    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_a_deletion_with_an_old_etag_is_a_412_and_deletes_no_user(root, ada):
    path = f"/users/{ada.id}"
    old = {"If-Match": (await root.get(path)).headers["etag"]}
    changed = await root.patch(path, json={"full_name": "Ada"})

    refused = await root.delete(path, headers=old)
    still_there = await root.get(path)
    deleted = await root.delete(path, headers={"If-Match": changed.headers["etag"]})

    assert (refused.status_code, still_there.status_code, deleted.status_code) == (412, 200, 204)


@pytest.mark.parametrize(
    ("sent", "status"),
    [("*", 200), ('"other", {etag}', 200), ("W/{etag}", 412), ("nonsense", 412), ("", 412)],
)
async def test_if_match_is_read_as_rfc_9110_says(ada, sent, status):
    etag = (await ada.get("/users/me")).headers["etag"]
    headers = {"If-Match": sent.format(etag=etag)}

    assert (await ada.patch("/users/me", json={}, headers=headers)).status_code == status

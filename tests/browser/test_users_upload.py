"""Many users from a file, as superusers see it."""

import json

import pytest
from playwright.async_api import FilePayload, Page, expect

from app.worker.worker import running_jobs
from tests.browser.conftest import DASHBOARD, PHONE, log_in, overflow, violations
from tests.conftest import PASSWORD

UPLOAD = f"{DASHBOARD}/users/upload"
HEADING = "email,username,full_name,is_superuser,password\n"
GOOD = (
    f"{HEADING}grace@example.com,grace,Grace Hopper,true,{PASSWORD}\n"
    f"linus@example.com,,'=1+1,false,{PASSWORD}\n"
)
BAD = f"{GOOD}ada@example.com,ada2,,,{PASSWORD}\nnobody,,<b>Nobody</b>,,short\n"


@pytest.fixture
async def form(page: Page, root, ada) -> Page:
    """The form for a file, `root` being logged in."""
    await log_in(page, root, UPLOAD)
    return page


def file(content: str | bytes, name: str = "people.csv") -> FilePayload:
    body = content if isinstance(content, bytes) else content.encode()
    return {"name": name, "mimeType": "text/csv", "buffer": body}


async def check(page: Page, content: str | bytes, name: str = "people.csv") -> None:
    await page.get_by_label("CSV or NDJSON file").set_input_files(file(content, name))
    await page.get_by_role("button", name="Check the file").click()


async def emails(root) -> list[str]:
    users = (await root.get("/users?sort_by=email&sort_order=asc")).json()["items"]
    return [user["email"].partition("@")[0] for user in users]


async def test_a_bad_row_is_named_and_nothing_is_written_and_then_the_good_file_is(
    form, root, client
):
    await check(form, BAD)
    await expect(form.get_by_role("heading", name="2 of 4 rows cannot be created")).to_be_focused()
    rows = [" ".join(await row.all_inner_texts()) for row in await form.get_by_role("row").all()]
    before = await emails(root)
    create = form.get_by_role("button", name="Create")
    assert await create.count() == 0
    await check(form, GOOD)
    await expect(form.get_by_role("heading", name="2 users can be created")).to_be_focused()
    between = await emails(root)
    await create.click()

    await expect(form.get_by_text("Created 2 users from people.csv")).to_be_visible()
    assert "email: already taken" in rows[3]
    assert "email: not a valid email address" in rows[4]
    assert "<b>Nobody</b>" in rows[4]
    assert before == between == ["ada", "root"]
    assert await emails(root) == ["ada", "grace", "linus", "root"]
    login = {"email": "grace@example.com", "password": PASSWORD}
    assert (await client.post("/api/v1/auth/login", json=login)).status_code == 200


async def test_no_password_is_in_the_page(form):
    await check(form, BAD)
    await expect(form.get_by_text("2 of 4 rows")).to_be_visible()

    assert PASSWORD not in await form.content()


async def test_ndjson_is_read_whatever_is_in_it(form):
    rows = [
        {"email": "g@example.com", "password": PASSWORD},
        {"email": ["x"]},
        5,
        {"email": "\ud800"},
    ]
    await check(form, "\n".join(json.dumps(row) for row in rows), "people.ndjson")

    await expect(form.get_by_role("heading", name="3 of 4 rows cannot")).to_be_visible()
    await expect(form.get_by_text("row: is not a JSON object")).to_be_visible()


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("name\nada\n", "people.csv", "the first line should name the columns"),
        ("email,shoe\n", "people.csv", "no such column: shoe"),
        (b"email\n\x81\n", "people.csv", "people.csv, line 2: is not UTF-8"),
        (HEADING, "people.csv", "The file contains 0 users"),
        (
            HEADING + "a@example.com,,,,x\n" * 501,
            "people.csv",
            "The file contains more than 500 users",
        ),
        (GOOD, "people.xlsx", "should end in .csv or .ndjson"),
    ],
)
async def test_a_file_that_cannot_be_read_is_reported_on_the_form(
    form, watch, content, name, reason
):
    watch.expected |= {"status of 422"}

    await check(form, content, name)

    await expect(form.get_by_role("alert")).to_contain_text(reason)


TOO_LARGE = HEADING + "x" * 1_200_000


async def test_a_file_that_is_too_large_is_reported_before_it_is_sent(form):
    await check(form, TOO_LARGE)

    told = form.get_by_role("alert")
    await expect(told).to_have_text(
        "Not sent: the file has 1.14 MiB, and at most 1.00 MiB can be sent."
    )


async def test_without_scripts_a_file_that_is_too_large_has_a_page_with_the_way_back(
    open_page, root, watch
):
    watch.expect_status(413)
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, UPLOAD)

    await check(page, TOO_LARGE)

    await expect(page.get_by_role("heading")).to_have_text("The request body is too large")
    await expect(page.get_by_role("navigation", name="Views")).to_be_visible()
    await page.get_by_role("link", name="Go back").click()
    await expect(page.get_by_role("heading")).to_have_text("Upload users")


async def test_an_upload_shows_its_progress(form, watch):
    """Issue 22: on a slow line nothing moved."""
    watch.expect_status(422)
    devtools = await form.context.new_cdp_session(form)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    await devtools.send("Network.emulateNetworkConditions", slow)

    await check(form, HEADING + "x" * 600_000)

    await expect(form.get_by_role("progressbar", name="Upload")).to_be_visible()
    await expect(form.get_by_text("% sent")).to_be_visible()
    await expect(form.get_by_role("alert")).to_contain_text("field larger")
    await expect(form.get_by_role("progressbar")).to_have_count(0)


async def test_a_file_stays_chosen_when_the_service_does_not_answer(form, watch):
    watch.expected |= {"ERR_INTERNET_DISCONNECTED", "htmx:"}
    await form.context.set_offline(True)
    await check(form, GOOD)
    await expect(form.get_by_role("alert")).to_have_text(
        "Not checked: the service does not answer. Try again."
    )

    await form.context.set_offline(False)
    await form.get_by_role("button", name="Check the file").click()

    await expect(form.get_by_role("heading", name="2 users can be created")).to_be_focused()
    await expect(form.get_by_role("alert")).to_have_count(0)


async def test_without_scripts_the_same_file_is_chosen_again_and_no_other_is_taken(
    open_page, root, watch
):
    watch.expect_status(409)
    watch.expect_status(422)
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, UPLOAD)
    choose, create = (
        page.get_by_label("CSV or NDJSON file"),
        page.get_by_role("button", name="Create"),
    )
    await page.get_by_role("button", name="Check the file").click()
    await expect(page.get_by_role("alert")).to_have_text("Choose a file.")
    await check(page, GOOD)
    await expect(page.get_by_text("choose people.csv again above")).to_be_visible()
    await choose.set_input_files(file(GOOD.replace("linus", "torvalds")))
    await create.click()
    await expect(page.get_by_role("alert")).to_contain_text("This is not the file that was checked")
    before = await emails(root)
    await choose.set_input_files(file(GOOD.replace("linus", "torvalds")))
    await create.click()

    await expect(page.get_by_text("Created 2 users from people.csv")).to_be_visible()
    assert before == ["root"]
    assert await emails(root) == ["grace", "root", "torvalds"]


async def test_a_conflict_with_a_faster_request_is_reported_and_nothing_is_written(
    form, root, watch
):
    watch.expect_status(409)
    await check(form, GOOD)
    await expect(form.get_by_role("heading", name="2 users can be created")).to_be_visible()
    await root.post("/users", json={"email": "linus@example.com", "password": PASSWORD})

    await form.get_by_role("button", name="Create").click()

    await expect(form.get_by_role("alert")).to_have_text(
        "Another request has created some of these users since the check. Nothing was created."
    )
    await expect(form.get_by_text("email: already taken")).to_be_visible()
    assert "grace" not in await emails(root)


LARGE = "email,password\n" + "".join(f"person{n}@example.com,{PASSWORD}\n" for n in range(101))


async def test_a_large_file_is_created_by_a_job_while_its_tab_is_closed(
    form, open_page, root, runtime
):
    await check(form, LARGE)
    await expect(form.get_by_text("A background job creates all users, or none.")).to_be_visible()
    await form.get_by_role("button", name="Create 101 users").click()
    await expect(form.get_by_text("0 of 101 passwords hashed")).to_be_visible()
    place = form.url
    await form.close()
    page = await open_page()
    await log_in(page, root, f"{DASHBOARD}/transfers")
    await page.get_by_role("link", name="people.csv").click()
    await expect(page.get_by_role("progressbar")).to_be_visible()
    async with running_jobs(runtime):
        await expect(page.get_by_text("Created 101 users.")).to_be_visible(timeout=30_000)

    assert page.url == place
    assert await page.get_by_role("button", name="Cancel the import").count() == 0


async def test_a_large_file_is_cancelled_without_scripts(open_page, root):
    page = await open_page(java_script_enabled=False)
    await log_in(page, root, UPLOAD)
    await check(page, LARGE)
    await page.get_by_label("CSV or NDJSON file").set_input_files(file(LARGE))
    await page.get_by_role("button", name="Create 101 users").click()
    await page.get_by_role("link", name="Show the progress now").click()
    await page.get_by_role("button", name="Cancel the import").click()

    await expect(page.get_by_text("It was cancelled: no user was created.")).to_be_visible()
    assert await emails(root) == ["root"]


async def test_axe_finds_nothing_in_the_progress_and_the_list_and_a_phone_is_wide_enough(
    open_page, root
):
    page = await open_page(viewport=PHONE, has_touch=True, reduced_motion="reduce")
    await log_in(page, root, UPLOAD)
    await check(page, LARGE)
    await page.get_by_role("button", name="Create 101 users").click()
    await expect(page.get_by_role("progressbar")).to_be_visible()
    progress = await violations(page), await overflow(page)
    await page.goto(f"{DASHBOARD}/transfers")
    listed = await violations(page), await overflow(page)
    await page.emulate_media(color_scheme="dark")

    assert progress == listed == ([], 0)
    assert await violations(page) == []


async def test_axe_finds_nothing_in_the_preview_and_a_phone_is_wide_enough(open_page, root):
    page = await open_page(viewport=PHONE, has_touch=True, reduced_motion="reduce")
    await log_in(page, root, UPLOAD)
    empty = await violations(page)
    await check(page, BAD)
    await expect(page.get_by_text("rows cannot be created")).to_be_visible()
    light = await violations(page)
    await page.emulate_media(color_scheme="dark")

    assert await overflow(page) == 0
    assert empty == light == []
    assert await violations(page) == []

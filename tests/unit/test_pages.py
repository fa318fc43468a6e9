"""What the admin page is made of."""

import re
import zipfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import flit_core.buildapi
import pytest

from app.admin.assets import assets
from app.admin.drawing.charts import HEIGHT, columns, round_up
from app.admin.formats import NOTHING, Formats
from app.admin.translation import translation_of
from app.core.security.signing import FormSigner

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = [
    path
    for path in sorted((ROOT / "app").rglob("templates/**/*.html"))
    if "mail"
    not in path.relative_to(ROOT / "app").parts[:2]  # programs for mail read inline styles
]
DOCS_FILES = [
    path
    for path in sorted((ROOT / "app" / "api" / "docs").rglob("*"))
    if path.suffix in {".html", ".css", ".js", ".txt"}
]
ENGLISH = Formats(translation_of("en"))
KEY = "k" * 32


@pytest.mark.parametrize(
    ("count", "top"), [(0, 4), (1, 4), (4, 4), (5, 6), (11, 20), (100, 100), (101, 200)]
)
def test_a_scale_ends_at_a_round_even_figure(count, top):
    assert round_up(count) == top


def test_chart_columns_begin_at_zero_and_have_a_minimum_height():
    drawn = columns([0, 1, 1000])

    assert [column.y + column.height for column in drawn.columns] == [HEIGHT] * 3
    assert [column.height for column in drawn.columns] == [0, 1, HEIGHT]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "a moment ago"),
        (3, "a moment ago"),
        (-40, "40 seconds ago"),
        (-7200, "2 hours ago"),
        (-29 * 86_400, "29 days ago"),
        (40.5, "in 40 seconds"),
        (7200.5, "in 2 hours"),
    ],
)
def test_a_time_near_now_is_relative_to_it(seconds, words):
    assert ENGLISH.relative(datetime.now(UTC) + timedelta(seconds=seconds)) == words


@pytest.mark.parametrize("days", [-31, -4000, 31])
def test_a_time_far_from_now_is_a_date(days):
    moment = datetime.now(UTC) + timedelta(days=days)

    assert ENGLISH.relative(moment) == ENGLISH.date(moment)


def test_a_chart_of_nothing_is_empty():
    assert columns([]).columns == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (ENGLISH.number(12345), "12,345"),
        (ENGLISH.number(None), NOTHING),
        (ENGLISH.duration(0.84), "0.8 ms"),
        (ENGLISH.duration(12.3), "12 ms"),
        (ENGLISH.duration(1234), "1.2 s"),
        (ENGLISH.duration(None), NOTHING),
        (ENGLISH.percent(0.985), "98.5 %"),
        (ENGLISH.percent(None), NOTHING),
        (ENGLISH.span(40), "40 seconds"),
        (ENGLISH.span(300), "5 minutes"),
    ],
)
def test_numbers_are_formatted_for_readers(written, expected):
    assert written == expected


def test_a_form_token_is_valid_for_its_owner_only():
    forms = FormSigner(KEY)
    token = forms.token("one")

    assert forms.is_token_of("one", token)
    assert not forms.is_token_of("another", token)
    assert not FormSigner("another key" * 4).is_token_of("one", token)
    assert not forms.is_token_of("one", "\udcff")


def test_a_signed_text_is_read_unless_it_was_changed():
    forms = FormSigner(KEY)
    sealed = forms.seal("Ünïcode")

    assert forms.unseal(sealed) == "Ünïcode"
    assert forms.unseal(sealed[:-1] + ("A" if sealed[-1] != "A" else "B")) is None
    assert [forms.unseal(other) for other in ("", "x", "é", forms.token("a"))] == [None] * 4


def test_what_the_old_key_signed_holds_while_keys_are_changed():
    before, after = FormSigner(KEY), FormSigner("n" * 32, [KEY])

    assert after.is_token_of("one", before.token("one"))
    assert after.unseal(before.seal("text")) == "text"
    assert not before.is_token_of("one", after.token("one"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_template_needs_what_the_policy_forbids(template):
    text = template.read_text()

    assert (
        re.findall(
            r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:|\|safe\b(?!\)\s*\}\})",
            text,
        )
        == []
    )
    assert re.findall(r"(?:src|href|action)=\"(?:https?:)?//", text) == []


def test_every_vendored_file_is_as_its_readme_says():
    installed = {".venv", "node_modules", ".local"}
    vendored = [
        path
        for path in ROOT.glob("**/vendor/*")
        if not installed & {*path.parts} and path.name != "README.md"
    ]

    assert len(vendored) >= 10
    for path in vendored:
        (row,) = [
            line
            for line in (path.parent / "README.md").read_text().splitlines()
            if line.startswith(f"| `{path.name}` |")
        ]
        assert row.endswith(f"| `{sha256(path.read_bytes()).hexdigest()}` |"), path


def test_the_licences_of_the_documentation_pages_are_beside_them():
    names = {path.name for path in DOCS_FILES}

    for script in "swagger-ui-bundle.js", "redoc.standalone.js":
        assert {script, f"{script}.LICENSE.txt"} <= names
    assert {"swagger-ui.LICENSE.txt", "swagger-ui.NOTICE.txt", "redoc.LICENSE.txt"} <= names


def test_the_wheel_brings_templates_and_static_files(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)

    wheel = flit_core.buildapi.build_wheel(str(tmp_path))

    names = set(zipfile.ZipFile(tmp_path / wheel).namelist())
    assert {f"app/admin/static/{name}" for name in assets.files} <= names
    assert {str(path.relative_to(ROOT)) for path in [*TEMPLATES, *DOCS_FILES]} <= names

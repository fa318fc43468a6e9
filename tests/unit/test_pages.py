"""What the admin page is made of."""

import re
import zipfile
from pathlib import Path

import flit_core.buildapi
import pytest

from app.admin import assets
from app.admin.charts import HEIGHT, columns, round_up
from app.admin.rendering import NOTHING, duration, number, percent, span
from app.core.signing import FormSigner

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "app" / "admin" / "templates").rglob("*.html"))
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


def test_a_chart_of_nothing_is_empty():
    assert columns([]).columns == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(12345), "12,345"),
        (number(None), NOTHING),
        (duration(0.84), "0.8 ms"),
        (duration(12.3), "12 ms"),
        (duration(1234), "1.2 s"),
        (duration(None), NOTHING),
        (percent(0.985), "98.5 %"),
        (percent(None), NOTHING),
        (span(40), "40 seconds"),
        (span(300), "5 minutes"),
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


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
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


def test_every_vendored_file_is_accounted_for():
    installed = {".venv", "node_modules"}
    vendored = [path for path in ROOT.glob("**/vendor/*.js") if not installed & {*path.parts}]

    assert len(vendored) >= 2
    for path in vendored:
        assert f"`{path.name}`" in (path.parent / "README.md").read_text()


def test_the_wheel_brings_templates_and_static_files(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)

    wheel = flit_core.buildapi.build_wheel(str(tmp_path))

    names = set(zipfile.ZipFile(tmp_path / wheel).namelist())
    assert {f"app/admin/static/{name}" for name in assets._files} <= names
    assert {str(path.relative_to(ROOT)) for path in TEMPLATES} <= names

"""The words of the pages: all of them pass through the catalogs, and each catalog has them all."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2 import nodes

from app.admin.drawing import time_bar
from app.admin.formats import Formats
from app.admin.languages import ENGLISH, LANGUAGES, MAX_HEADER, preferred
from app.admin.rendering import environment_of
from app.admin.translation import FOLDER, MAX_SENTENCE, PART, translation_of
from app.services.api_keys.authenticator import NOT_VALID

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "app/admin/templates").rglob("*.html"))
JINJA = re.compile(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
TRANS = re.compile(r"\{% trans .*?endtrans %\}|\{% trans %\}.*?endtrans %\}", re.DOTALL)
SPOKEN = re.compile(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"')
TAG = re.compile(r"<[^<>]*>")
WORD = re.compile(r"[^\W\d_]{2,}")
SAME = {"UTC", "HTML", "JSON", "2FA", "FA", "user"}
"""Words that are the same in every language; `user` is of the references `user:1`."""


def catalog_of(language: str) -> Catalog:
    with (FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def texts(message: Any) -> tuple[str, ...]:
    return (message,) if isinstance(message, str) else tuple(message or ())


def parts_of(text: str) -> set[str]:
    return set(PART.findall(text))


def test_the_catalogs_are_up_to_date():
    checked = subprocess.run(
        [sys.executable, ROOT / ".ci/words.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stderr


def test_every_catalog_is_of_a_language_that_can_be_chosen():
    assert {path.stem for path in FOLDER.glob("*.po")} == LANGUAGES.keys() - {ENGLISH}


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {ENGLISH}))
def test_every_message_is_translated_with_its_parts_and_tags(language):
    messages = [message for message in catalog_of(language) if message.id]

    for message in messages:
        ids, strings = texts(message.id), texts(message.string)
        assert all(strings), f"not translated: {message.id}"
        assert not message.fuzzy, message.id
        for text, string in zip(ids, strings, strict=True):
            assert parts_of(string) == parts_of(text), string
            assert sorted(TAG.findall(string)) == sorted(TAG.findall(text)), string
            # It would end an attribute.
            assert ('"' in TAG.sub("", string)) <= ('"' in TAG.sub("", text)), string


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_has_no_words_of_its_own(path):
    template = JINJA.sub("~", TRANS.sub("", path.read_text()))
    spoken = SPOKEN.findall(template)
    shown = TAG.sub("\n", re.sub(r"<(code|kbd)\b.*?</\1>", "", template, flags=re.DOTALL))
    shown = "\n".join(line for line in shown.splitlines() if "='" not in line and '="' not in line)

    words = WORD.findall("\n".join([*spoken, shown]))
    assert [word for word in words if word not in SAME and not _is_code(word, path)] == []


def _is_code(word: str, path: Path) -> bool:
    """Attributes and settings of scripts that stand outside of a tag because of a block."""
    return path.name in {"upload.html", "passkey.html"} and word in {
        *{"responseHandling", "code", "swap", "false", "true", "error", "security"}
    }


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_passes_nothing_but_its_own_english_to_gettext(path):
    """The result is taken for HTML: a value there could be anything that a caller sent."""
    calls = environment_of(ENGLISH).parse(path.read_text()).find_all(nodes.Call)

    for call in calls:
        name = getattr(call.node, "name", "")
        count = {"_": 1, "gettext": 1, "ngettext": 2}.get(name, 0)
        assert all(isinstance(text, nodes.Const) for text in call.args[:count]), (path, call)


def test_no_word_of_a_script_is_outside_gettext():
    """Texts that a script shows are long, or are assigned to what shows them."""
    for path in sorted((ROOT / "app/admin/static").glob("*.js")):
        text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        text = re.sub(r'gettext\(\s*"[^"]*"', "", text)

        assert re.findall(r'"[A-Z][a-z]+ [^"]*"|`[A-Z][a-z]+ [^`]*`', text) == [], path


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("fr,de;q=0.5", "de"),
        ("fr", "en"),
        ("en;q=0.2, de;q=0.3", "de"),
        ("DE", "de"),
        ("de;q=0", "en"),
        ("de;q=nan", "en"),
        ("de;q=-1", "en"),
        ("de;q=7", "en"),
        ("de;q=<script>", "en"),
        ("*", "en"),
        (",;,=;q", "en"),
        ("x" * MAX_HEADER + ",de", "en"),
        ("de\x00", "en"),
    ],
)
def test_the_language_that_a_browser_prefers(header, language):
    assert preferred(header) == language


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("", ""),
        ("Not found", "Nicht gefunden"),
        ("Saved the roles of ada", "Die Rollen von ada sind gespeichert"),
        ("Saved ada", "ada gespeichert"),
        ("changed by you 2 days ago", "von Ihnen geändert, vor 2 Tagen"),
        ("changed by ada a moment ago", "von ada geändert, gerade eben"),
        ("changed by you 1 hour ago", "von Ihnen geändert, vor 1 Stunde"),
        ("User not found", "Benutzer nicht gefunden"),
        ("SavedView not found", "Gespeicherte Ansicht nicht gefunden"),
        ("The invitation is accepted", "Die Einladung ist bereits angenommen"),
        ("The invitation is expired", "Die Einladung ist abgelaufen"),
        ("Your roles do not allow this", "Ihre Rollen erlauben das nicht"),
        (
            NOT_VALID,
            "Der API-Schlüssel ist widerrufen oder abgelaufen, oder sein Besitzer ist inaktiv",
        ),
        ("You are logged out", "Sie sind abgemeldet"),
        (f"Saved {'a' * MAX_SENTENCE}", f"Saved {'a' * MAX_SENTENCE}"),
        ("Retried 5 jobs", "5 Aufträge wiederholt"),
        ("Saved the view “50 % <b>”", "Die Ansicht „50 % <b>“ ist gespeichert"),
        ("A sentence of nobody's", "A sentence of nobody's"),
    ],
)
def test_a_sentence_of_python_is_recognised_with_its_parts(english, german):
    assert translation_of("de").translated(english) == german
    assert translation_of(ENGLISH).translated(english) == english


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (-2, "a moment ago", "gerade eben"),
        (-40, "40 seconds ago", "vor 40 Sekunden"),
        (-120, "2 minutes ago", "vor 2 Minuten"),
        (-3 * 3600, "3 hours ago", "vor 3 Stunden"),
        (-2 * 86_400, "2 days ago", "vor 2 Tagen"),
        (3 * 86_400 + 60, "in 3 days", "in 3 Tagen"),
        (7230, "in 2 hours", "in 2 Stunden"),
    ],
)
def test_a_time_is_told_by_its_distance_from_now(seconds, english, german):
    moment = datetime.now(UTC) + timedelta(seconds=seconds)

    assert Formats(translation_of(ENGLISH)).relative(moment) == english
    assert Formats(translation_of("de")).relative(moment) == german


@pytest.mark.parametrize("part", time_bar.NAMES.values())
def test_parts_of_a_bar_have_german_names(part):
    assert translation_of("de").translated(part) != part


def test_the_caption_of_a_table_keeps_its_capitals():
    template = (
        '{% from "tables.html" import table %}'
        '{% call table("Importe und Exporte", ()) %}{% endcall %}'
    )

    page = environment_of("de").from_string(template).render()

    assert "Importe und Exporte, " in page


@pytest.mark.parametrize(
    ("template", "german"),
    [
        ("{{ 12345.6|number }}", "12.346"),
        ("{{ 1234|duration }}", "1,2 s"),
        ("{{ 0.985|percent }}", "98,5 %"),
        ("{{ -0.08|change }}", "-8 %"),
        ("{{ 172800|span }}", "2 Tage"),
        ("{{ '24h'|period }}", "24 Stunden"),
        ("{{ '2026-05-07'|when }}", "7. Mai 2026"),
        ("{{ 1572864|filesizeformat(true) }}", "1,5 MiB"),
        ("{{ 'full_name'|label }}", "Vollständiger Name"),
        ("{{ _('Saved ada') }}{{ name|translated }}", "Saved ada&lt;b&gt;"),
    ],
)
def test_figures_and_times_are_written_as_in_the_language(template, german):
    assert environment_of("de").from_string(template).render(name="<b>") == german


def test_pages_in_english_load_neither_babel_nor_a_catalog():
    code = (
        "import sys; from app.admin.rendering import environment_of; "
        "environment_of('en').from_string('{{ 5|number }} {{ _(\"Users\") }}').render(); "
        "assert not any(name.split('.')[0] == 'babel' for name in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

"""`Translation`: the words of a language for templates, sentences of Python, and scripts."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from app.admin.languages import ENGLISH

FOLDER = Path(__file__).with_name("locale")
PART = re.compile(r"%\((\w+)\)s")
"""A part of a sentence that is filled in."""
MAX_SENTENCE = 1_000
"""Characters of a sentence that is compared with patterns: the time grows with their square."""


def N_(sentence: str) -> str:  # noqa: N802  # the name that gettext's tools know
    """Marks an English sentence that a page translates where it shows it; returns it as it is."""
    return sentence


def NN_(one: str, many: str) -> tuple[str, str]:  # noqa: N802  # like `N_`
    """Marks an English sentence and its plural."""
    return one, many


class Sentence(NamedTuple):
    """A sentence with parts, such as `Created %(name)s`, and what it is in the language.

    Attributes:
        pattern: matches the English sentence with its parts filled in.
        one, many: msgids; `many` is empty where there is no plural.
    """

    pattern: re.Pattern[str]
    one: str
    many: str = ""


class Translation:
    """The words of one language.

    Args:
        language: its code.
        catalog: its words.
        sentences: those with parts that Python makes, the most specific ones first.
        script_words: those of scripts, by their English.
    """

    def __init__(
        self,
        language: str,
        catalog: NullTranslations,
        sentences: Sequence[Sentence] = (),
        script_words: Mapping[str, str] | None = None,
    ) -> None:
        self.language = language
        self.gettext, self.ngettext = catalog.gettext, catalog.ngettext
        self.script_words = script_words or {}
        self._sentences = sentences

    @property
    def is_english(self) -> bool:
        return self.language == ENGLISH

    def translated(self, sentence: str) -> str:
        """A sentence of Python, which is English and may have its parts filled in, as plain text.

        Messages of errors are shared with the API, whose answers are English: they are recognised
        here. One that is not known, or is very long, stays English.
        """
        if self.is_english or not sentence or len(sentence) > MAX_SENTENCE:
            return sentence
        found = self.gettext(sentence)
        if found != sentence:
            return found
        for known in self._sentences:
            if match := known.pattern.fullmatch(sentence):
                return self._filled(known, match.groupdict())
        return sentence

    def _filled(self, known: Sentence, parts: dict[str, str]) -> str:
        """With its parts; one whose name ends with `words` is a sentence itself."""
        values = {
            name: self.translated(value) if name.endswith("words") else value
            for name, value in parts.items()
        }
        if not known.many:
            return self.gettext(known.one) % values
        digits = parts["count"].replace(",", "")
        count = int(digits) if digits.isdecimal() else 2
        return self.ngettext(known.one, known.many, count) % values


@cache
def translation_of(language: str) -> Translation:
    """The words of a language, read at its first use: a process that serves English alone loads
    neither Babel nor a catalog."""
    if language == ENGLISH:
        return Translation(ENGLISH, NullTranslations())
    from babel.messages.mofile import write_mo  # noqa: PLC0415
    from babel.messages.pofile import read_po  # noqa: PLC0415

    with (FOLDER / f"{language}.po").open("rb") as file:
        catalog = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    messages = [message for message in catalog if message.id]
    sentences = [one for message in messages if _is_of(message, ".py") for one in _of(message.id)]
    sentences.sort(key=lambda sentence: len(PART.sub("", sentence.one)), reverse=True)
    scripts = [message for message in messages if _is_of(message, ".js")]
    return Translation(
        language,
        GNUTranslations(compiled),
        sentences,
        {str(message.id): str(message.string or message.id) for message in scripts},
    )


def _is_of(message: Any, suffix: str) -> bool:
    """Whether a message of the catalog is in a file of this kind."""
    return any(file.endswith(suffix) for file, _ in message.locations)


def _of(msgid: Any) -> list[Sentence]:
    """A message as sentences: two where it has a plural; none without parts, or of parts alone."""
    one, many = (msgid, "") if isinstance(msgid, str) else msgid
    return [
        Sentence(_pattern(form), one, many)
        for form in (one, many)
        if PART.search(form) and re.search("[A-Za-z]{3}", PART.sub("", form))
    ]


def _pattern(msgid: str) -> re.Pattern[str]:
    texts = PART.split(msgid)
    return re.compile(
        "".join(
            f"(?P<{text}>.+?)" if place % 2 else re.escape(text.replace("%%", "%"))
            for place, text in enumerate(texts)
        ),
        re.DOTALL,
    )

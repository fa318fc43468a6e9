"""The settings for people: groups, meanings, sources, and values without secrets."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.core.config import Settings, variables
from app.core.config.sections import Section
from app.core.config.settings import SECTIONS

HIDDEN = "•••"
"""Shown in place of a secret, whatever its length."""
NOT_SET = "not set"
_TITLES = {"app": "Application", "cors": "CORS"}


class Setting(NamedTuple):
    """A setting.

    Attributes:
        name: of the environment variable.
        value: as shown.
        source: `environment`, `.env`, `start` for what the service filled in itself, `default`.
        meaning: what it sets.
    """

    name: str
    value: str
    source: str
    meaning: str


class SettingGroup(NamedTuple):
    """The settings of a section. `key` is its name in the code."""

    key: str
    title: str
    settings: list[Setting]

    @property
    def changed(self) -> int:
        """How many have another value than the default."""
        return sum(setting.source != "default" for setting in self.settings)


def settings_report(
    settings: Settings, in_file: frozenset[str], environment: Mapping[str, str] = os.environ
) -> list[SettingGroup]:
    """All settings of the process, as they are in use.

    Args:
        settings: with what the start has filled in.
        in_file: the names in `.env`.
        environment: variables of the process.
    """
    in_environment = {name.upper() for name, value in environment.items() if value}
    groups = {key: SettingGroup(key, _TITLES.get(key, key.capitalize()), []) for key in SECTIONS}
    for name, (section_type, field) in variables().items():
        (key,) = (key for key, one in SECTIONS.items() if one is section_type)
        section: Section = getattr(settings, key)
        info = section_type.model_fields[field]
        value = getattr(section, field)
        groups[key].settings.append(
            Setting(
                name,
                shown(value),
                _source(name, value, info, in_file, in_environment),
                info.description or "",
            )
        )
    return list(groups.values())


def shown(value: Any) -> str:
    """A value as text: secrets, and the passwords and queries of URLs, are hidden."""
    if value is None or value == () or value == "":
        return NOT_SET
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else NOT_SET
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return _without_password(str(value))


def _without_password(text: str) -> str:
    """`https://user:•••@host/path?•••`."""
    if "://" not in text:
        return text
    try:
        url = urlsplit(text)
    except ValueError:
        return HIDDEN
    user, at, place = url.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}:{HIDDEN}@{place}" if colon else f"{HIDDEN if user else ''}{at}{place}"
    return urlunsplit((url.scheme, netloc, url.path, HIDDEN if url.query else "", ""))


def _source(
    name: str, value: Any, info: FieldInfo, in_file: frozenset[str], in_environment: set[str]
) -> str:
    if name in in_environment:
        return "environment"
    if name in in_file:
        return ".env"
    return "default" if value == info.get_default(call_default_factory=True) else "start"

"""The settings object: reading, and validation across sections and against misspelt names."""

import os
import re
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from dotenv.parser import parse_stream
from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.config.audit import AuditSettings
from app.core.config.database import DatabaseSettings
from app.core.config.jobs import JobsSettings
from app.core.config.mail import MailSettings
from app.core.config.sections import (
    AppSettings,
    AuthSettings,
    CacheSettings,
    CorsSettings,
    DocsSettings,
    LimiterSettings,
    LogSettings,
    Section,
    ServerSettings,
    SettingsError,
    TelemetrySettings,
    UsersSettings,
)

ROOT = Path(__file__).resolve().parents[3]
LOCAL = ROOT / ".local"

# Kubernetes sets variables of this form for every service in every pod; a service named "cache" or
# "server" is no misspelt setting.
_SERVICE_LINK = re.compile(
    r"\w+_(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=(tcp|udp)://|PORT_\d+_(TCP|UDP)(_\w+)?=)"
)


class Settings(BaseModel):
    """All sections of the settings."""

    model_config = ConfigDict(frozen=True)

    app: AppSettings
    server: ServerSettings
    database: DatabaseSettings
    cache: CacheSettings
    limiter: LimiterSettings
    auth: AuthSettings
    users: UsersSettings
    jobs: JobsSettings
    audit: AuditSettings
    cors: CorsSettings
    docs: DocsSettings
    log: LogSettings
    telemetry: TelemetrySettings
    mail: MailSettings

    @property
    def is_production(self) -> bool:
        return self.app.environment == "production"

    @property
    def link_base_url(self) -> str:
        """The beginning of links in mails."""
        return self.mail.link_base_url or f"http://{self.server.host}:{self.server.port}"

    @property
    def run_jobs_in_web(self) -> bool:
        """Whether web processes run background jobs."""
        chosen = self.jobs.in_process
        return self.app.environment == "development" if chosen is None else chosen

    @property
    def passkey_rp_id(self) -> str | None:
        """The domain that passkeys are bound to; None where there are no passkeys."""
        if self.auth.passkey_rp_id is None and not self.is_production:
            return "localhost"
        return self.auth.passkey_rp_id

    def missing(self) -> list[str]:
        """Required settings that are not set, a line for each.

        Development and tests start embedded servers if none is named; production does not.
        """
        database, production = self.database, self.is_production
        is_set = {
            "DATABASE_URL (or DATABASE_HOST)": database.is_named
            or (database.kind == "embedded" and not production),
            "DATABASE_PROVIDER (other than embedded)": (
                database.provider != "embedded" or not production
            ),
            "MAIL_URL (or AUTH_EMAIL_VERIFICATION other than required)": (
                self.mail.url is not None
                or not production
                or not self.auth.is_verification_required
            ),
            "AUTH_SECRET_KEY": self.auth.secret_key is not None or not production,
        } | {
            f"{name}_REDIS_URL (or {name}_REDIS_HOST, or {name}_ENABLED=false)": (
                section.is_named or not section.enabled or not production
            )
            for name, section in (("CACHE", self.cache), ("LIMITER", self.limiter))
        }
        return [f"{name}: must be set" for name, fulfilled in is_set.items() if not fulfilled]

    def warnings(self) -> list[str]:
        """Settings without effect, or with a risk, a line for each."""
        trusts_all = {"*", "0.0.0.0/0", "::/0"}.intersection(self.server.forwarded_allow_ips)
        risk = (
            "SERVER_FORWARDED_ALLOW_IPS: trusts any client, so that limits by address can be "
            "evaded: name the proxies"
        )
        nowhere = (
            "MAIL_LINK_BASE_URL: links in mails lead to this machine: set the address of the "
            "service or of your front end"
        )
        is_linked = self.mail.link_base_url is not None
        leads_nowhere = self.is_production and self.mail.url is not None and not is_linked
        return [
            *self.database.warnings(),
            *([risk] if trusts_all else []),
            *([nowhere] if leads_nowhere else []),
        ]

    def replaced(self, **sections: dict[str, Any]) -> "Settings":
        """A copy with changed values, without validation: `replaced(log={"level": "DEBUG"})`."""
        return self.model_copy(
            update={
                name: getattr(self, name).model_copy(update=values)
                for name, values in sections.items()
            }
        )


SECTIONS: dict[str, type[Section]] = {
    name: cast("type[Section]", field.annotation) for name, field in Settings.model_fields.items()
}


def variables() -> dict[str, tuple[type[Section], str]]:
    """The environment variables of all settings, with section and field."""
    return {
        str(
            info.validation_alias or f"{section.model_config.get('env_prefix', '')}{field}"
        ).upper(): (section, field)
        for section in SECTIONS.values()
        for field, info in section.model_fields.items()
    }


def _names_in(env_file: Path) -> tuple[set[str], list[str]]:
    """The names set in `env_file`, and the errors in its lines.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        with env_file.open(encoding="utf-8") as stream:
            lines = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError):
        raise SettingsError([f"{env_file}: not readable as UTF-8"]) from None
    return {line.key.upper() for line in lines if line.key}, [
        f"{env_file.name}, line {line.original.line}: not of the form NAME=value"
        for line in lines
        if line.error or (line.key and line.value is None)
    ]


def _misspelt(in_file: set[str]) -> list[str]:
    """Errors for unknown names: any in the file, and environment variables that have a section's
    prefix or resemble a setting."""
    known = variables()
    prefixes = tuple(
        prefix.upper()
        for section in SECTIONS.values()
        if (prefix := section.model_config.get("env_prefix"))
    )
    in_environment = {
        name
        for name, value in ((name.upper(), value) for name, value in os.environ.items())
        if not _SERVICE_LINK.match(f"{name}={value}")
        and (name.startswith(prefixes) or get_close_matches(name, known, n=1, cutoff=0.92))
    }
    problems = []
    for name in sorted((in_file | in_environment) - set(known)):
        nearest = get_close_matches(name, known, n=1)
        problems.append(
            f"{name}: no such setting" + (f", did you mean {nearest[0]}?" if nearest else "")
        )
    return problems


def load_settings(env_file: Path | None = None) -> Settings:
    """Read the settings from `env_file` and the environment, which takes precedence.

    Raises:
        SettingsError: a value is malformed, a name is misspelt, or a required setting is missing.
            The message names each variable and repeats no value.
    """
    env_file = env_file if env_file and env_file.is_file() else None
    in_file, problems = _names_in(env_file) if env_file else (set(), [])
    problems += _misspelt(in_file)
    sections: dict[str, Section] = {}
    for title, section in SECTIONS.items():
        try:
            sections[title] = section(_env_file=env_file)
        except ValidationError as error:
            prefix = section.model_config.get("env_prefix", "")
            for detail in error.errors(include_input=False, include_url=False):
                name = "".join(
                    f"{prefix}{str(field).removeprefix(prefix)}: ".upper()  # an alias has it
                    for field in detail["loc"][:1]
                )
                problems.append(name + detail["msg"].removeprefix("Value error, "))
    if len(sections) < len(SECTIONS):
        raise SettingsError(problems)
    settings = Settings(**cast("dict[str, Any]", sections))
    if settings.app.environment == "development":
        limiter = settings.limiter.for_development()
        settings = settings.model_copy(update={"limiter": limiter})
    if problems := problems + settings.missing():
        raise SettingsError(problems)
    return settings


@lru_cache
def named_in_file() -> frozenset[str]:
    """The names in the repository's `.env`, as it was at the start of the process."""
    file = ROOT / ".env"
    return frozenset(_names_in(file)[0]) if file.is_file() else frozenset()


@lru_cache
def get_settings() -> Settings:
    """The process's settings, from its environment and the repository's `.env`, read once.

    Raises:
        SettingsError: see `load_settings`.
    """
    named_in_file()  # read now, since the file may change while the process runs
    return load_settings(ROOT / ".env")

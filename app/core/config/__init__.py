"""Settings: `get_settings()` is all that most code needs."""

from app.core.config.database import DatabaseSettings
from app.core.config.jobs import JobsSettings
from app.core.config.mail import MailSettings, SmtpServer, mailbox, smtp_server
from app.core.config.sections import (
    MAX_ROWS,
    AppSettings,
    AuthSettings,
    CacheSettings,
    CorsSettings,
    DocsSettings,
    LimiterSettings,
    LogSettings,
    RedisSettings,
    Section,
    ServerSettings,
    SettingsError,
    TelemetrySettings,
    UsersSettings,
)
from app.core.config.settings import (
    LOCAL,
    ROOT,
    Settings,
    get_settings,
    load_settings,
    variables,
)

__all__ = [
    "LOCAL",
    "MAX_ROWS",
    "ROOT",
    "AppSettings",
    "AuthSettings",
    "CacheSettings",
    "CorsSettings",
    "DatabaseSettings",
    "DocsSettings",
    "JobsSettings",
    "LimiterSettings",
    "LogSettings",
    "MailSettings",
    "RedisSettings",
    "Section",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "SmtpServer",
    "TelemetrySettings",
    "UsersSettings",
    "get_settings",
    "load_settings",
    "mailbox",
    "smtp_server",
    "variables",
]

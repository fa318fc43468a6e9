"""Settings: `get_settings()` is all that most code needs."""

from app.core.config.sections import (
    AppSettings,
    AuthSettings,
    CacheSettings,
    CorsSettings,
    DatabaseSettings,
    LimiterSettings,
    LogSettings,
    RedisSettings,
    Section,
    ServerSettings,
)
from app.core.config.settings import (
    LOCAL,
    ROOT,
    Settings,
    SettingsError,
    get_settings,
    load_settings,
    variables,
)

__all__ = [
    "LOCAL",
    "ROOT",
    "AppSettings",
    "AuthSettings",
    "CacheSettings",
    "CorsSettings",
    "DatabaseSettings",
    "LimiterSettings",
    "LogSettings",
    "RedisSettings",
    "Section",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "get_settings",
    "load_settings",
    "variables",
]

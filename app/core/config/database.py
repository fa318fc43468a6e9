"""Settings of the database: which server, by which way."""

import re
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, model_validator

from app.core.config.sections import Port, Seconds, Section, SettingsError, section
from app.core.config.urls import asyncpg_query, asyncpg_url, check_url

SUPABASE_POOLER = 6543
"""The port where Supabase pools transactions; 5432 of the same host keeps a session together."""
_MAYBE_PLAIN = {"disable", "allow", "prefer"}


def _query(url: SecretStr) -> dict[str, str]:
    return asyncpg_query(urlsplit(url.get_secret_value()).query)


class DatabaseSettings(Section):
    model_config = section("DATABASE_")

    provider: Literal["embedded", "postgresql", "supabase"] | None = Field(
        None, description="embedded, postgresql or supabase (default: by what is set below)"
    )
    url: SecretStr | None = Field(None, description="postgresql://user:password@host:port/name")
    migration_url: SecretStr | None = Field(
        None, description="for migrations: past the pooler, or as another role"
    )
    host: str | None = Field(None, description="server, where DATABASE_URL is not set")
    port: Port = Field(5432, description="port of the server")
    user: str = Field("postgres", description="role to connect as")
    password: SecretStr = Field(SecretStr(""), description="password of the role")
    name: str = Field("postgres", description="name of the database")
    pool_size: int = Field(5, ge=1, le=1000, description="connections kept open, per process")
    max_overflow: int = Field(10, ge=0, le=1000, description="further connections under load")
    pool_timeout: Seconds = Field(2.0, description="seconds to wait for a connection, then 503")
    pooler: Literal["none", "transaction"] = Field(
        "none", description="transaction: behind PgBouncer or Supabase's port 6543"
    )
    statement_timeout: Seconds = Field(
        25.0, description="seconds after which the server ends a statement"
    )
    connect_timeout: Seconds = Field(5.0, description="seconds to open a connection")

    @model_validator(mode="after")
    def _is_postgresql(self) -> Self:
        for name, url in (("URL", self.url), ("MIGRATION_URL", self.migration_url)):
            check_url(f"DATABASE_{name}", url, "postgresql", "postgres", "postgresql+asyncpg")
            if self.provider == "supabase" and url and _query(url).get("ssl") in _MAYBE_PLAIN:
                raise ValueError(f"DATABASE_{name} may leave out TLS, which Supabase requires")
        if self.provider == "embedded" and self.is_named:
            raise ValueError("DATABASE_PROVIDER is embedded, and another server is named as well")
        return self

    @property
    def is_named(self) -> bool:
        """Whether anything says which server to use."""
        return self.url is not None or self.host is not None

    @property
    def kind(self) -> Literal["embedded", "postgresql", "supabase"]:
        return self.provider or ("postgresql" if self.is_named else "embedded")

    @property
    def is_pooled(self) -> bool:
        """Whether each transaction may run on another of the server's connections."""
        at_supabase = self.kind == "supabase" and self._server_port() == SUPABASE_POOLER
        return at_supabase or self.pooler == "transaction"

    def _server_port(self) -> int:
        if self.url is None:
            return self.port
        return urlsplit(self.url.get_secret_value()).port or 5432

    def direct(self) -> "DatabaseSettings":
        """Those that lead past the pooler, where there is one: for migrations.

        Raises:
            SettingsError: nothing tells the way past it.
        """
        if self.migration_url is not None:
            return self.model_copy(update={"url": self.migration_url, "pooler": "none"})
        if not self.is_pooled:
            return self
        if self.kind != "supabase":
            raise SettingsError(
                ["DATABASE_MIGRATION_URL: must be set, since no migration can pass a pooler"]
            )
        # On the same host, whichever of the two it is, this port keeps to one connection.
        if self.url is None:
            return self.model_copy(update={"port": 5432, "pooler": "none"})
        parts = urlsplit(self.url.get_secret_value())
        netloc = re.sub(r"(:\d+)?$", ":5432", parts.netloc, count=1)
        url = SecretStr(parts._replace(netloc=netloc).geturl())
        return self.model_copy(update={"url": url, "pooler": "none"})

    def dsn(self) -> str:
        """The URL for SQLAlchemy with asyncpg, password included: never log it.

        libpq's `sslmode` becomes asyncpg's `ssl`, so that a URL copied from a hosting
        provider's page works as it is.

        Raises:
            LookupError: neither DATABASE_URL nor DATABASE_HOST is set.
        """
        if self.url is not None:
            url = urlsplit(self.url.get_secret_value())
            netloc, path, query = url.netloc, url.path, asyncpg_query(url.query)
        elif self.host is not None:
            secret = quote(self.password.get_secret_value(), safe="")
            netloc = f"{quote(self.user, safe='')}:{secret}@{self.host}:{self.port}"
            path, query = f"/{quote(self.name, safe='')}", {}
        else:
            raise LookupError("set DATABASE_URL or DATABASE_HOST")
        if self.kind == "supabase":
            query.setdefault("ssl", "require")
        return asyncpg_url(netloc, path, query)

"""Settings of the database."""

import re
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode
from sqlalchemy import make_url

from app.core.config.postgres import PostgresAddress, parse_hosts, parse_postgres
from app.core.config.sections import Section, SettingsError, section
from app.core.config.types import Port, Seconds

SUPABASE_POOLER = 6543
"""Port of Supabase's pooler in transaction mode; 5432 of the same host is in session mode."""
_MAYBE_PLAIN = {"disable", "allow", "prefer"}
# A URL may have several hosts, which are separated by commas too.
_BETWEEN_URLS = re.compile(r"[\s,]+(?=[a-z+]+://)")


def _separate_urls(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(url for url in _BETWEEN_URLS.split(value.strip(", \n\t")) if url)
    return value


Urls = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_separate_urls)]


class DatabaseSettings(Section):
    model_config = section("DATABASE_")

    provider: Literal["embedded", "postgresql", "supabase"] | None = Field(
        None,
        description="embedded, postgresql or supabase (default: derived from the settings below)",
    )
    url: SecretStr | None = Field(None, description="postgresql://user:password@host:port/name")
    migration_url: SecretStr | None = Field(
        None, description="URL for migrations, if they need a direct connection or another role"
    )
    replica_urls: Urls = Field(
        (), description="URLs of read replicas, comma-separated, for lists, exports and statistics"
    )
    replica_max_lag: Seconds = Field(
        5.0, description="seconds that a replica may lag; beyond that it is not read"
    )
    replica_timeout: Seconds = Field(
        2.0, description="seconds that a replica may take for a read; then the primary is read"
    )
    host: str | None = Field(
        None, description="host name, or several separated by commas, if DATABASE_URL is not set"
    )
    port: Port = Field(5432, description="port of the server")
    user: str = Field("postgres", description="role to connect as")
    password: SecretStr = Field(SecretStr(""), description="password of the role")
    name: str = Field("postgres", description="name of the database")
    pool_size: int = Field(5, ge=1, le=1000, description="permanent connections, per process")
    max_overflow: int = Field(
        10, ge=0, le=1000, description="extra connections under load, per process"
    )
    pool_timeout: Seconds = Field(
        2.0, description="seconds to wait for a free connection, then 503"
    )
    pooler: Literal["none", "session", "transaction"] = Field(
        "none",
        description="mode of a connection pooler such as PgBouncer: none, transaction or session",
    )
    statement_timeout: Seconds = Field(
        25.0, description="seconds until the server cancels a statement"
    )
    connect_timeout: Seconds = Field(
        5.0, description="timeout for opening a connection, in seconds"
    )

    @model_validator(mode="after")
    def _is_postgresql(self) -> Self:
        for name, url in self._urls().items():
            sslmode = parse_postgres(name, url).driver.get("sslmode")
            if self.provider == "supabase" and sslmode in _MAYBE_PLAIN:
                raise ValueError(f"{name} allows a connection without TLS, which Supabase requires")
        if self.host is not None:
            parse_hosts("DATABASE_HOST", self.host, self.port)
        if self.provider == "embedded" and self.is_named:
            raise ValueError("DATABASE_PROVIDER is embedded, but another server is named as well")
        if self.replica_urls and not self.is_named:
            raise ValueError("DATABASE_REPLICA_URLS needs DATABASE_URL, the primary")
        return self

    @property
    def is_named(self) -> bool:
        """Whether a server is set."""
        return self.url is not None or self.host is not None

    @property
    def kind(self) -> Literal["embedded", "postgresql", "supabase"]:
        return self.provider or ("postgresql" if self.is_named else "embedded")

    @property
    def is_pooled(self) -> bool:
        """Whether a pooler may run each transaction on another server connection."""
        at_supabase = self.kind == "supabase" and self._server_port() == SUPABASE_POOLER
        return at_supabase or self.pooler == "transaction"

    def _server_port(self) -> int:
        ports = self.address().ports
        return ports[0] if ports else 5432

    @property
    def variable(self) -> str:
        """The setting that names the server."""
        return "DATABASE_HOST" if self.host is not None and self.url is None else "DATABASE_URL"

    def _urls(self) -> dict[str, SecretStr]:
        urls = {"DATABASE_URL": self.url, "DATABASE_MIGRATION_URL": self.migration_url}
        replicas = {
            f"DATABASE_REPLICA_URLS, number {number}": url
            for number, url in enumerate(self.replica_urls, 1)
        }
        return {name: url for name, url in urls.items() if url is not None} | replicas

    def warnings(self) -> list[str]:
        """Ignored parameters of the URLs, a line for each, without values."""
        return [
            f"{name}: {warning}"
            for name, url in self._urls().items()
            for warning in parse_postgres(name, url).warnings(is_pooled=self.is_pooled)
        ]

    def direct(self) -> "DatabaseSettings":
        """Settings for a connection without the pooler, for migrations.

        Raises:
            SettingsError: behind a pooler, and no other URL is set.
        """
        if self.migration_url is not None:
            return self.model_copy(update={"url": self.migration_url, "pooler": "none"})
        if not self.is_pooled:
            return self
        # Several hosts in a URL have a port each: too many to guess.
        if self.kind != "supabase" or (self.url is not None and len(self.address().hosts) > 1):
            raise SettingsError(
                ["DATABASE_MIGRATION_URL: must be set, since migrations cannot run behind a pooler"]
            )
        # On the pooler's host and on the database's, port 5432 keeps a session on one connection.
        if self.url is None:
            hosts, _ = parse_hosts("DATABASE_HOST", self.host or "", 5432)
            update = {"host": ",".join(hosts), "port": 5432, "pooler": "none"}
            return self.model_copy(update=update)
        url = make_url(self.url.get_secret_value()).set(port=5432)
        secret = SecretStr(url.render_as_string(hide_password=False))
        return self.model_copy(update={"url": secret, "pooler": "none"})

    def replicas(self) -> "list[DatabaseSettings]":
        """Settings for each replica."""
        return [
            self.model_copy(update={"url": url, "host": None, "replica_urls": ()})
            for url in self.replica_urls
        ]

    def address(self) -> PostgresAddress:
        """Hosts, credentials and parameters of the connection.

        Raises:
            LookupError: neither DATABASE_URL nor DATABASE_HOST is set.
        """
        if self.url is not None:
            address = parse_postgres("DATABASE_URL", self.url)
        elif self.host is not None:
            hosts, ports = parse_hosts("DATABASE_HOST", self.host, self.port)
            address = PostgresAddress(hosts, ports, self.user, self.password or None, self.name)
        else:
            raise LookupError("set DATABASE_URL or DATABASE_HOST")
        if self.kind == "supabase":
            address = replace(address, driver={"sslmode": "require", **address.driver})
        return address

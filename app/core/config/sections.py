"""Sections of the settings, except those of the database, jobs and mail."""

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.config.extras import with_telemetry
from app.core.config.hosts import collector, is_at, range_api, rp_id
from app.core.config.redis import parse_redis
from app.core.config.types import (
    Hosts,
    KeyPrefix,
    Origins,
    Port,
    Proxies,
    Rate,
    Seconds,
    SecretKeys,
)

MAX_DELETION_GRACE = 7_776_000  # seconds


class SettingsError(ValueError):
    """Invalid, missing or misspelt settings; the message has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("invalid settings:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = problems


MAX_ROWS = 10_000
"""Maximum of `USERS_BULK_MAX`: a longer list is refused before its rows are read."""


class Section(BaseSettings):
    """A frozen group of settings that share a prefix."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )


def section(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=prefix)


class AppSettings(Section):
    environment: Literal["development", "test", "production"] = Field(
        "development", description="development, test or production"
    )
    app_name: str = Field(
        "Backend API", description="name of the service in the docs, logs and /health"
    )
    app_version: str = Field("1.0.0", description="version of the service in the docs and /health")
    first_superuser_email: str | None = Field(
        None, description="first superuser (development: admin@example.com)"
    )
    first_superuser_password: SecretStr | None = Field(
        None,
        description="password of the first superuser (development: generated and printed once)",
    )


class ServerSettings(Section):
    model_config = section("SERVER_")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8000, description="port to listen on")
    workers: int = Field(1, ge=1, le=256, description="web processes, which serve requests")
    request_timeout: Seconds = Field(
        30.0, description="seconds until a request is answered with 504"
    )
    max_requests: int = Field(
        128, ge=1, description="requests in progress at once, per process; further ones get 503"
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="open connections, per process; a new one replaces the one idle for longest",
    )
    drain: float = Field(
        3.0,
        ge=0,
        le=3600,
        description="seconds to continue serving after SIGTERM, while /health/ready is 503",
    )
    max_body_bytes: int = Field(
        1_048_576, ge=0, description="maximum size of a request body, in bytes"
    )
    trusted_hosts: Hosts = Field(
        ("*",), description="allowed Host headers, comma-separated; * allows any"
    )
    force_https: bool = Field(False, description="redirect http to https and send HSTS")
    forwarded_allow_ips: Proxies = Field(
        (), description="proxies whose X-Forwarded-* headers are trusted, comma-separated"
    )


class RedisSettings(Section):
    """Base of the cache's and the limiter's sections: a switch and a Redis server."""

    prefix_name: ClassVar[str]

    enabled: bool = Field(True, description="false: disabled")
    redis_url: SecretStr | None = Field(
        None, description="redis://:password@host:port/db, or redis+sentinel:// or redis+cluster://"
    )
    redis_host: str | None = Field(None, description="host name, if the URL is not set")
    redis_port: Port = Field(6379, description="port of the server")
    redis_db: int = Field(0, ge=0, le=15, description="database number")
    redis_password: SecretStr | None = Field(None, description="password of the server")

    @model_validator(mode="after")
    def _is_redis(self) -> Self:
        if self.redis_url is not None:
            parse_redis(f"{self.prefix_name}REDIS_URL", self.redis_url)
        return self

    @property
    def is_named(self) -> bool:
        return self.redis_url is not None or self.redis_host is not None

    def dsn(self) -> str | None:
        """The Redis URL, password included (never log it); None if no server is named."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        if self.redis_host is None:
            return None
        password = self.redis_password.get_secret_value() if self.redis_password else ""
        secret = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{secret}{self.redis_host}:{self.redis_port}/{self.redis_db}"


class CacheSettings(RedisSettings):
    model_config = section("CACHE_")
    prefix_name = "CACHE_"

    prefix: KeyPrefix = Field("myapi:cache", min_length=1, description="prefix of every key")


class LimiterSettings(RedisSettings):
    model_config = section("LIMITER_")
    prefix_name = "LIMITER_"

    prefix: KeyPrefix = Field("myapi:limiter", min_length=1, description="prefix of every key")
    login: Rate = Field(
        "5/minute",
        description="wrong passwords per account, and per known device (development: 100/minute)",
    )
    login_address: Rate = Field(
        "30/minute", description="logins per address (development: 600/minute)"
    )
    sign_up: Rate = Field("10/minute", description="sign-ups per address (development: 200/minute)")
    passkey_options: Rate = Field(
        "60/minute", description="options of passkey logins per address (development: 600/minute)"
    )
    second_factor: Rate = Field(
        "5/minute", description="codes of second factors per account (development: 100/minute)"
    )
    refresh: Rate = Field("30/minute", description="refreshes per session")
    refresh_address: Rate = Field(
        "300/minute", description="refreshes per address, which many clients may share"
    )
    recovery: Rate = Field(
        "5/minute", description="requests of links by mail, per address (development: 100/minute)"
    )
    link: Rate = Field(
        "30/minute", description="uses of links in mails, per address (development: 600/minute)"
    )
    own_data: Rate = Field("10/hour", description="exports of one's own data, per user")
    invitation: Rate = Field(
        "30/minute", description="requests that send invitations, per principal"
    )
    write: Rate = Field("600/minute", description="writes per principal")
    read: Rate = Field("6000/minute", description="reads per principal")
    key_write: Rate = Field("600/minute", description="writes per API key")
    key_read: Rate = Field("6000/minute", description="reads per API key")
    key_address: Rate = Field(
        "30/minute",
        description="API keys that are not valid, or reported as leaked, per address",
    )

    def for_development(self) -> Self:
        """A copy with twenty times the logins, sign-ups and links, unless set otherwise: a
        developer who tries the API is one account at one address."""
        more = {
            "login": "100/minute",
            "login_address": "600/minute",
            "sign_up": "200/minute",
            "recovery": "100/minute",
            "link": "600/minute",
            "passkey_options": "600/minute",
            "second_factor": "100/minute",
        }
        unset = {name: rate for name, rate in more.items() if name not in self.model_fields_set}
        return self.model_copy(update=unset)


class AuthSettings(Section):
    model_config = section("AUTH_")

    secret_key: SecretStr | None = Field(
        None, min_length=32, description="key that signs tokens; 32 characters or more"
    )
    accepted_secret_keys: SecretKeys = Field(
        (), description="further keys accepted during key rotation, comma-separated"
    )
    access_ttl: int = Field(900, ge=1, description="seconds an access token is valid")
    refresh_ttl: int = Field(
        2_592_000, ge=1, description="seconds until a session expires without a refresh"
    )
    refresh_grace: float = Field(
        10.0,
        ge=0,
        le=300,
        description="seconds in which a superseded refresh token fails without ending the session",
    )
    session_ttl: int = Field(
        7_776_000, ge=1, description="seconds until a session expires regardless of refreshes"
    )
    device_ttl: int = Field(
        15_552_000,
        ge=1,
        description="seconds after a login in which its device has guesses of its own",
    )
    daily_links: int = Field(
        10,
        ge=1,
        description="links to set a password, or to verify the email, that a user is mailed in 24 "
        "hours; beyond that, one an hour",
    )
    registration_enabled: bool = Field(True, description="false: only superusers create users")
    email_verification: Literal["off", "optional", "required"] = Field(
        "off",
        description="optional: new users get a mail to verify their email; required: and log in "
        "only after that",
    )
    deletion_grace: float = Field(
        1_209_600,
        ge=0,
        le=MAX_DELETION_GRACE,
        description="seconds from a user's request until the account is deleted; undo until then",
    )
    password_min_length: int = Field(
        15, ge=1, le=64, description="minimum length of a new password"
    )
    breach_check_url: Annotated[str, AfterValidator(range_api)] | None = Field(
        None,
        description="range API that knows breached passwords, which new ones are looked up in; "
        "gets five digits of a hash (default: none)",
    )
    special_use_domains: bool = Field(
        False, description="true: accept email domains such as corp.local, home.arpa and localhost"
    )
    mfa_required_for: Literal["none", "superusers", "everyone"] = Field(
        "none", description="who has to set up a second factor: none, superusers or everyone"
    )

    passkey_rp_id: Annotated[str, AfterValidator(rp_id)] | None = Field(
        None,
        description="domain that passkeys are bound to, for good: example.com "
        "(development: localhost)",
    )
    passkey_origins: Origins = Field(
        (),
        description="origins of the pages that use passkeys, comma-separated (default: https and "
        "the domain)",
    )

    @model_validator(mode="after")
    def _has_matching_origins(self) -> Self:
        if self.passkey_origins and self.passkey_rp_id is None:
            raise ValueError("AUTH_PASSKEY_RP_ID: must be set where AUTH_PASSKEY_ORIGINS is")
        for number, one in enumerate(self.passkey_origins, 1):
            if self.passkey_rp_id and not is_at(one, self.passkey_rp_id):
                raise ValueError(
                    f"AUTH_PASSKEY_ORIGINS: item {number} should be https, and at "
                    "AUTH_PASSKEY_RP_ID or below it: browsers refuse passkeys elsewhere"
                )
        return self

    def requires_mfa(self, *, is_superuser: bool) -> bool:
        """Whether a user has to have a second factor."""
        required_for = self.mfa_required_for
        return required_for == "everyone" or (required_for == "superusers" and is_superuser)

    @property
    def is_verification_required(self) -> bool:
        """Whether users log in only after they have verified their email."""
        return self.email_verification == "required"

    def accepted_keys(self) -> list[str]:
        return [key.get_secret_value() for key in self.accepted_secret_keys]


class UsersSettings(Section):
    model_config = section("USERS_")

    bulk_max: int = Field(
        500, ge=1, le=MAX_ROWS, description="maximum number of users in a bulk request"
    )
    exports_max: int = Field(
        2,
        ge=1,
        le=100,
        description="simultaneous exports, per process, each with an extra connection",
    )


class CorsSettings(Section):
    model_config = section("CORS_")

    origins: Origins = Field(
        (), description="allowed origins of browsers, comma-separated; * allows any"
    )
    allow_credentials: bool = Field(False, description="true: those origins may send cookies")

    @model_validator(mode="after")
    def _no_credentials_for_any_origin(self) -> Self:
        if self.allow_credentials and "*" in self.origins:
            raise ValueError(
                "CORS_ORIGINS: * would let any site act as the user who is logged in: name the "
                "origins, or leave out CORS_ALLOW_CREDENTIALS"
            )
        return self


class DocsSettings(Section):
    model_config = section("DOCS_")

    enabled: bool = Field(
        True, description="false: no /docs, /redoc and /openapi.json, which are 404"
    )


class TelemetrySettings(Section):
    model_config = section("TELEMETRY_")

    scrape_token: SecretStr | None = Field(
        None,
        min_length=32,
        description="bearer token for /metrics/prometheus; 32 characters or more",
    )
    slow_query: Seconds = Field(
        0.5, description="seconds from which on a statement is logged and counted as slow"
    )
    slow_request: Seconds = Field(
        1.0, description="seconds from which on a request is recorded as slow"
    )
    recent_requests: int = Field(
        1000,
        ge=0,
        le=2000,
        description="recent requests recorded for the admin pages, of each kind: failed, slow, "
        "refused, answered; 0: none",
    )
    otlp_endpoint: (
        Annotated[str, AfterValidator(collector), AfterValidator(with_telemetry)] | None
    ) = Field(
        None,
        description="OpenTelemetry collector of traces (OTLP, HTTP); needs the telemetry extra",
    )
    trace_ratio: float = Field(
        1.0, ge=0, le=1, description="fraction of the requests that are traced"
    )


class LogSettings(Section):
    model_config = section("LOG_")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="minimum level that is logged"
    )
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="json, console or auto (json in production)"
    )

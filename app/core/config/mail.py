"""Settings of mail, and the parser of `MAIL_URL`."""

import re
from dataclasses import dataclass
from email.headerregistry import Address
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from app.core.config.sections import Section, section
from app.core.config.types import Seconds
from app.core.config.urls import UrlError, split_url
from app.core.text.normalisation import normalise_name, smtp_address

Encryption = Literal["tls", "starttls", "none"]
_PORTS: dict[Encryption, int] = {"tls": 465, "starttls": 587, "none": 25}
_MAILBOX = re.compile(r"\s*(?:([^<>]*)<([^<>]+)>|([^<>]+))\s*")
_FORM = (
    "must be of the form smtps://user:password@host:port or smtp://user:password@host:port, "
    "special characters in user and password percent-encoded"
)
_SWITCH = "takes one parameter, starttls, which is required or off"
_IN_CLEAR = "would send the password unencrypted: leave out starttls=off"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """What `MAIL_URL` names. `encryption` "tls" begins with the connection, "starttls" after it."""

    host: str
    port: int
    encryption: Encryption
    username: str | None = None
    password: SecretStr | None = None


def smtp_server(url: str) -> SmtpServer:
    """The parts of a mail URL. `smtp://` encrypts by STARTTLS, unless the server is this machine or
    the URL ends with `?starttls=off`.

    Raises:
        UrlError: it is no such URL. No part of it is repeated.
    """
    parts = split_url(url, "smtp", "smtps")
    if re.search(r"[\s\x00-\x1f]", url) or parts.path not in {"", "/"} or parts.fragment:
        raise UrlError(_FORM)
    try:
        host, port = parts.hostname, parts.port
        username, password = (
            unquote(part, errors="strict") for part in (parts.username or "", parts.password or "")
        )
    except ValueError:  # no port number, no UTF-8
        raise UrlError(_FORM) from None
    if not host or port == 0 or bool(username) != bool(password):
        raise UrlError(_FORM)
    encryption = _encryption(parts, is_local=_is_local(host))
    if encryption == "none" and password and not _is_local(host):
        raise UrlError(_IN_CLEAR)
    return SmtpServer(
        host,
        port or _PORTS[encryption],
        encryption,
        username or None,
        SecretStr(password) if password else None,
    )


def _encryption(parts: SplitResult, *, is_local: bool) -> Encryption:
    try:
        switches = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
    except ValueError:
        switches = {"": ""} if parts.query else {}
    starttls = switches.pop("starttls", None)
    if switches or starttls not in {None, "required", "off"}:
        raise UrlError(_SWITCH)
    if parts.scheme == "smtps":
        if starttls is not None:
            raise UrlError("has no use for starttls: smtps:// is encrypted from the beginning")
        return "tls"
    if starttls is None and is_local:
        return "none"
    return "none" if starttls == "off" else "starttls"


def _is_local(host: str) -> bool:
    """Whether `host` is this machine, to which nothing passes through a network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def mailbox(text: str) -> Address:
    """The mailbox that is written as `no-reply@example.com` or `Acme <no-reply@example.com>`.

    Raises:
        ValueError: it is neither.
    """
    found = _MAILBOX.fullmatch(text)
    name, address, bare = found.groups("") if found else ("", "", "")
    try:
        return Address(
            normalise_name(name.strip().strip('"')), addr_spec=smtp_address(address or bare)
        )
    except ValueError:
        raise ValueError(
            "should be an address such as no-reply@example.com or Acme <no-reply@example.com>"
        ) from None


def _mailbox(text: str) -> str:
    mailbox(text)
    return text


def _base_url(value: str) -> str:
    """The URL without a slash at its end."""
    try:
        parts = urlsplit(value)
        is_right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right or re.search(r"[\s@?#<>\"]", value):
        raise ValueError(
            "should be of the form https://app.example.com, with no user, query or fragment"
        )
    return value.rstrip("/")


def _folder(value: Path) -> Path:
    if not value.is_dir():
        raise ValueError("should be a folder that exists")
    return value


class MailSettings(Section):
    model_config = section("MAIL_")

    url: SecretStr | None = Field(
        None,
        description="smtp://user:password@host:port, or smtps:// "
        "(development: mails are caught, and shown on the admin pages)",
    )
    sender: Annotated[str, AfterValidator(_mailbox)] | None = Field(
        None,
        validation_alias="MAIL_FROM",
        description="sender of the mails, perhaps with a name: Acme <no-reply@example.com>",
    )
    link_base_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        None,
        description="beginning of the links in mails (default: where this service listens)",
    )
    templates: Annotated[Path, AfterValidator(_folder)] | None = Field(
        None, description="folder of templates that replace the built-in ones of the same name"
    )
    timeout: float = Field(
        60.0,
        gt=0,
        le=600,
        description="seconds that the server may take for one mail, its answer included",
    )
    retention: Seconds = Field(
        7_776_000, description="seconds for which the outcome of a mail is stored"
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.url is None:
            return self
        try:
            smtp_server(self.url.get_secret_value())
        except UrlError as error:
            raise ValueError(f"MAIL_URL {error}") from None
        if self.sender is None:
            raise ValueError("MAIL_FROM: must be set where MAIL_URL is")
        return self

"""Types of settings' fields, which check and parse their values."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticUseDefault
from pydantic_settings import NoDecode

from app.core.config.hosts import each, host, origin, proxy


def _is_no_service_link(value: Any) -> Any:
    """Ignore `SERVER_PORT=tcp://…`, which Kubernetes sets if a service is named "server".

    Raises:
        PydanticUseDefault: the value has that form.
    """
    if isinstance(value, str) and value.startswith("tcp://"):
        raise PydanticUseDefault
    return value


Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Port = Annotated[int, BeforeValidator(_is_no_service_link), Field(ge=1, le=65535)]
Rate = Annotated[str, Field(pattern=r"^\d+ ?(/|per) ?\d* ?(second|minute|hour|day|month|year)s?$")]


def _separated(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_separated)]
Origins = Annotated[CommaSeparated, AfterValidator(each(origin))]
Hosts = Annotated[CommaSeparated, AfterValidator(each(host))]
Proxies = Annotated[CommaSeparated, AfterValidator(each(proxy))]
SecretKeys = Annotated[
    tuple[Annotated[SecretStr, Field(min_length=32)], ...], NoDecode, BeforeValidator(_separated)
]


def _is_literal(value: str) -> str:
    """Check a key prefix, which also begins patterns that delete keys."""
    if any(character.isspace() or character in "*?[]\\" for character in value):
        raise ValueError("should contain no space and none of * ? [ ] \\")
    return value


KeyPrefix = Annotated[str, AfterValidator(_is_literal)]

"""Check that the extra is installed whose packages a setting needs."""

from importlib.util import find_spec

_TELEMETRY = (
    "opentelemetry.sdk.trace",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.instrumentation.redis",
    "opentelemetry.instrumentation.sqlalchemy",
)


def with_telemetry(value: str) -> str:
    """`value`, where the packages of the extra `telemetry` are installed.

    Raises:
        ValueError: one of them is not.
    """
    try:
        is_installed = all(map(find_spec, _TELEMETRY))
    except ModuleNotFoundError:  # a package above one of them
        is_installed = False
    if not is_installed:
        raise ValueError(
            "needs the extra telemetry, which is not installed: "
            "pip install -e '.[telemetry]' in the project's folder"
        )
    return value

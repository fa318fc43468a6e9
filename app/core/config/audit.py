"""Settings of the audit trail."""

from pydantic import Field

from app.core.config.sections import Section, section


class AuditSettings(Section):
    model_config = section("AUDIT_")

    retention: float = Field(
        31_536_000,
        ge=2_592_000,
        le=3_153_600_000,
        description="seconds to keep audit events, at least 30 days; whole months are deleted",
    )

"""Schemas of imports and exports that run as background jobs, and payloads of these jobs."""

from typing import Literal
from uuid import UUID

from app.core.jobs import JobPayload
from app.schemas.background.job_record import JobRecordSummary

TransferKind = Literal["import", "export"]
TransferOutcome = Literal["done", "failed", "cancelled"]


class ImportUsers(JobPayload):
    """Create the users of a file that was uploaded."""

    kind = "import-users"
    transfer_id: UUID


class ExportUsers(JobPayload):
    """Write a list of users into a file, for a download."""

    kind = "export-users"
    transfer_id: UUID


class PurgeTransfers(JobPayload):
    """Delete imports and exports, with their files, a day after they were begun."""

    kind = "purge-transfers"


class TransferSummary(JobRecordSummary):
    """An import or export.

    Attributes:
        name: of the file.
        size: of the file to download, in bytes; None where there is none.
    """

    kind: TransferKind
    name: str
    size: int | None

"""Where to click, and which part of the docs to read, for the work of operators."""

from pathlib import PurePosixPath
from typing import NamedTuple

OPERATIONS = PurePosixPath("docs/OPERATIONS.md")


class Guide(NamedTuple):
    """A kind of work.

    Attributes:
        heading: of the part of `file` that describes it.
        views: names and paths, below the pages' own, of the views that help.
    """

    title: str
    text: str
    heading: str
    views: tuple[tuple[str, str], ...] = ()
    file: PurePosixPath = OPERATIONS


GUIDES = (
    Guide(
        "Backups",
        "All data is in PostgreSQL: use pg_dump, or the point-in-time recovery of your provider. "
        "The pages have no button for it.",
        "Backup and restore",
    ),
    Guide(
        "Upgrades",
        "First backend migrate, then the new release; the way back is described too.",
        "Upgrade and rollback",
    ),
    Guide(
        "Secrets",
        "Replace AUTH_SECRET_KEY without logging anyone out.",
        "Rotating secrets",
    ),
    Guide(
        "Background jobs",
        "Failed ones wait to be retried or cancelled.",
        "Background jobs",
        (("Jobs", "/jobs?state=failed"),),
    ),
    Guide(
        "Mail",
        "What was delivered, and why not.",
        "Failures",
        (("Mail", "/mail"),),
        PurePosixPath("docs/MAIL.md"),
    ),
    Guide(
        "Errors",
        "Search the request id that an error prints; the log has it as well.",
        "Recent requests",
        (("Requests", "/requests"),),
    ),
    Guide(
        "Who changed what",
        "Every change, with before and after, and its export.",
        "Audit trail",
        (("Audit", "/audit"),),
    ),
    Guide(
        "Imports and exports",
        "Files of users, as jobs with a progress bar.",
        "Imports and exports on the admin page",
        (("Imports and exports", "/transfers"),),
    ),
    Guide("Alerts", "What each alert means and what to do.", "Alerts: what to do"),
)

"""`backend migrate`, `backend purge-sessions` and `backend recount`."""

from typing import Annotated

import typer

from app.bootstrap import create_first_superuser, upgrade_schema
from app.cli.running import command_settings, console, run_command
from app.database.schema_state import current_revision, schema_of
from app.runtime import open_runtime
from app.services.user.counts import UserCountService


def migrate(
    revision: Annotated[
        str, typer.Argument(help="head, base, a revision id, or a relative one such as -1.")
    ] = "head",
) -> None:
    """Migrate the database schema, and create the first superuser if configured."""
    settings = command_settings()

    async def work() -> None:
        async with open_runtime(settings) as runtime:
            before = await schema_of(runtime.engine)
            await upgrade_schema(runtime, revision)
            after = await current_revision(runtime.engine)
            if before.state == "newer":
                console.print(f"{before}: nothing to do")
            else:
                console.print(f"{before.at or 'empty'} → {after or 'empty'}")
            named = settings.app.first_superuser_email and settings.app.first_superuser_password
            if revision == "head" and named and await create_first_superuser(runtime):
                console.print(f"created the superuser {settings.app.first_superuser_email}")

    run_command(work())


def purge_sessions() -> None:
    """Delete sessions that ended at least a week ago. The service does this hourly."""
    settings = command_settings()

    async def work() -> None:
        async with open_runtime(settings) as runtime, runtime.session_maker() as db:
            count = await runtime.session_service(db).purge()
            console.print(f"{count} sessions deleted")

    run_command(work())


def recount() -> None:
    """Correct the counters of users by a full count. The worker does this nightly."""
    settings = command_settings()

    async def work() -> None:
        async with open_runtime(settings) as runtime, runtime.session_maker() as db:
            error = await UserCountService(db).recount()
            console.print(f"corrected by {error}" if error else "the counters were right")

    run_command(work())

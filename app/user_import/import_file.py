"""`import_file`: opens the runtime, migrates outside production, and imports a file with a
progress bar."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.bootstrap import upgrade_schema
from app.core.config import Settings
from app.runtime import open_runtime
from app.services.user.file_parser import UserFile
from app.user_import.batches import ImportResult, import_users


async def import_file(
    settings: Settings, file: Path, errors: Path, console: Console, *, without_password: bool
) -> ImportResult:
    """See `import_users`. Outside production the schema is brought up to date first.

    Raises:
        UserFileError: the file cannot be read.
    """
    source = UserFile.on_disk(file)
    columns = TextColumn("lines"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    async with open_runtime(settings) as runtime:
        if not settings.is_production:
            await upgrade_schema(runtime)
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("lines", total=source.lines)
            return await import_users(
                runtime,
                source,
                errors,
                lambda line: bar.update(task, completed=line),
                without_password=without_password,
            )

"""Options of `backend import-users`; the import itself is in `app.user_import`."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.running import command_settings, console, fail, run_command
from app.user_import.import_file import import_file


def import_users(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="CSV or NDJSON file, in the format of the export."
        ),
    ],
    errors: Annotated[
        Path | None, typer.Option(help="File for refused rows. Default: FILE.errors.csv.")
    ] = None,
    without_password: Annotated[  # noqa: FBT002  # Typer makes it --without-password
        bool,
        typer.Option(
            "--without-password",
            help="Import users without a password; they must reset it before logging in.",
        ),
    ] = False,
) -> None:
    """Import users from a file; each row has a `password` or a `hashed_password`.

    The command can be repeated after an interruption, since existing users are refused. Refused
    rows are written to another file, including secrets; it can be corrected and imported.
    """
    settings = command_settings()
    errors = errors or file.with_suffix(f".errors{file.suffix}")
    result = run_command(
        import_file(settings, file, errors, console, without_password=without_password)
    )
    console.print(f"{result.imported} imported, {result.refused} refused", highlight=False)
    if result.note:
        console.print(result.note, style="yellow", highlight=False, markup=False, soft_wrap=True)
    if result.refused:
        fail(f"refused rows, with their errors: {errors}")

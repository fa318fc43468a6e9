"""`backend reset-mfa` and `backend reseal-secrets`."""

from typing import Annotated

import typer

from app.cli.running import command_settings, console, run_command
from app.runtime import open_runtime


def reset_mfa(
    email: Annotated[str, typer.Argument(help="Email address of the user.")],
) -> None:
    """Remove all second factors of a user who has lost them, and end all their sessions."""
    settings = command_settings()

    async def work() -> None:
        async with open_runtime(settings) as runtime, runtime.session_maker() as db:
            user = await runtime.mfa_service(db).reset_by_email(email)
            console.print(
                f"removed all second factors of {user.email}, id {user.id}, and ended all their "
                "sessions",
                soft_wrap=True,
            )

    run_command(work())


def reseal_secrets() -> None:
    """Encrypt the secrets of authenticator apps by AUTH_SECRET_KEY, after a change of it."""
    settings = command_settings()

    async def work() -> None:
        async with open_runtime(settings) as runtime, runtime.session_maker() as db:
            resealed = await runtime.mfa_service(db).reseal()
            console.print(
                f"{resealed.done} secrets were encrypted by the key in use; "
                f"{resealed.unreadable} by no accepted key",
                soft_wrap=True,
            )

    run_command(work())

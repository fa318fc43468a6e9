"""The command line: `backend --help`."""

import sys

import typer

from app.cli import (
    accounts,
    database,
    doctor,
    import_users,
    mfa,
    seed,
    send_test_mail,
    serve,
    worker,
)
from app.cli.new.product import product
from app.cli.new.resource import resource
from app.cli.running import fail
from app.core.origin import Origin, acting_as
from app.core.text.normalisation import is_encodable

cli = typer.Typer(
    help="Run and maintain the Backend API.", no_args_is_help=True, pretty_exceptions_enable=False
)


@cli.callback()
def begin_command(context: typer.Context) -> None:
    """Run and maintain the Backend API."""
    if not all(map(is_encodable, sys.argv)):
        fail("an argument is not valid UTF-8")
    context.with_resource(acting_as(Origin("command", context.invoked_subcommand)))


# In the order of `backend --help`.
cli.command()(serve.serve)
cli.command()(serve.dev)
cli.command()(worker.worker)
cli.command(context_settings={"ignore_unknown_options": True})(database.migrate)  # -1 is no option
cli.command()(accounts.create_superuser)
cli.command()(accounts.set_password)
cli.command()(mfa.reset_mfa)
cli.command()(mfa.reseal_secrets)
cli.command()(seed.seed)
cli.command()(import_users.import_users)
cli.command()(database.purge_sessions)
cli.command()(database.recount)
cli.command()(send_test_mail.test_mail)
cli.command()(doctor.doctor)

new = typer.Typer(help="Write the code of a resource, or rename the product.", no_args_is_help=True)
new.command()(resource)
new.command()(product)
cli.add_typer(new, name="new")

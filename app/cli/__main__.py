"""`python -m app.cli`, the same as `backend`."""

from app.cli import cli

if __name__ == "__main__":
    cli()

"""Many users at once, for the views of users."""

from datetime import UTC, datetime, timedelta

from app.models import User
from app.runtime import Runtime

LONG = "x" * 60


async def sixty(runtime: Runtime) -> None:
    """`user00` to `user59`, the oldest first; every third one inactive, who cannot log in."""
    now = datetime.now(UTC)
    async with runtime.session_maker() as db:
        db.add_all(
            User(
                email=f"user{number:02}@{'odd' if number % 2 else 'even'}.example",
                username=f"user{number:02}",
                full_name=LONG if number == 59 else None,
                hashed_password="none",
                is_active=number % 3 != 0,
                is_superuser=False,
                created_at=now - timedelta(days=100 - number),
            )
            for number in range(60)
        )
        await db.commit()

"""The three scenarios of P11, for locust: statistics, lists, and both beside writes.

Usage: TOKEN=… locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000 Statistics
"""

import os
import random
import secrets

from locust import FastHttpUser, constant, task

PASSWORD = "correct horse battery staple"  # noqa: S105  # of accounts that live a minute
HEADERS = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
SORTS = [
    f"sort_by={field}&sort_order={order}"
    for field in ("created_at", "username", "email")
    for order in ("asc", "desc")
]


class Superuser(FastHttpUser):
    """Asks again as soon as it has an answer."""

    abstract = True
    wait_time = constant(0)
    default_headers = HEADERS

    def read_statistics(self) -> None:
        self.client.get("/api/v1/dashboard/stats")

    def read_list(self) -> None:
        active, page = random.choice(("true", "false")), random.randint(1, 20)  # noqa: S311  # any
        query = f"is_active={active}&{random.choice(SORTS)}&page={page}&size=50"  # noqa: S311  # any
        self.client.get(f"/api/v1/users?{query}", name="/api/v1/users")

    def write(self) -> None:
        """Change a profile: what a write costs without a password to hash."""
        body = {"full_name": secrets.token_hex(8)}
        user = random.randint(1, 1000)  # noqa: S311  # any of them
        self.client.patch(f"/api/v1/users/{user}", json=body, name="/api/v1/users/{id}")


class Statistics(Superuser):
    """100 clients who look at the statistics."""

    @task
    def look(self) -> None:
        self.read_statistics()


class Lists(Superuser):
    """50 clients who page through users."""

    @task
    def look(self) -> None:
        self.read_list()


class Mixed(Superuser):
    """100 clients: half reads, 30 % writes, 20 % statistics."""

    @task(5)
    def look(self) -> None:
        self.read_list()

    @task(3)
    def change(self) -> None:
        self.write()

    @task(2)
    def look_at_statistics(self) -> None:
        self.read_statistics()

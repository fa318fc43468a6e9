"""How every command that the documents show is run: a new one belongs into one of these tables.

A key that ends in `…` stands for all commands that begin so.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What a command says, as a pattern.

    Attributes:
        instead: what is run in its place, where it would take long or is only part of a statement.
    """

    pattern: str
    instead: str | None = None


RUN = {
    "backend doctor": Said("✓ migrations"),
    "backend doctor --routes": Said(r"users:read"),
    "make doctor": Said("✓ migrations"),
    "make format": Said("left unchanged"),
    ".venv/bin/backend --help": Said(
        "serve(.|\n)+worker(.|\n)+migrate(.|\n)+create-superuser(.|\n)+seed(.|\n)+import-users"
        "(.|\n)+purge-sessions(.|\n)+doctor"
    ),
    "python -X importtime -c 'import main'": Said("import time:(.|\n)+ main"),
    "ANALYZE users": Said("ANALYZE"),
    "EXPLAIN (ANALYZE, BUFFERS)": Said(
        "Execution Time", "EXPLAIN (ANALYZE, BUFFERS) SELECT FROM users"
    ),
    "SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock'": Said("pg_blocking_pids"),
    "python -m benchmarks.audit …": Said(
        "a busy actor", "python -m benchmarks.audit --events 1200 --runs 1"
    ),
    "python benchmarks/indexes.py …": Said(
        "ix_users_search", "python benchmarks/indexes.py --users 1000 --runs 1"
    ),
    "python benchmarks/telemetry_cost.py": Said(
        "in memory", "python benchmarks/telemetry_cost.py --rounds 2 --seconds 0.2 --bound 10"
    ),
    ".venv/bin/python benchmarks/login_timing.py": Said(
        "medians differ by",
        ".venv/bin/python benchmarks/login_timing.py --samples 3 --bound 10",
    ),
    ".venv/bin/python benchmarks/guesses.py": Said("a stolen device token"),
    "python -m benchmarks.capacity …": Said(
        "PATCH", "python -m benchmarks.capacity --users 100 --runs 1 --seconds 0.2"
    ),
    "python -m benchmarks …": Said(
        # Its plot takes a package that only `make bench` installs.
        "P3(.|\n)*(reached|missed)",
        "python -c \"from benchmarks import report, rows; report.show(list(rows.ROWS['P3'](1)))\"",
    ),
}
"""In a copy of the project, whose database is migrated."""

WOULD_RUN = {
    "make test": ".venv/bin/python -m pytest",
    "make dev": ".venv/bin/backend dev",
    "make postman": ".venv/bin/python -m pytest -q -s tests/clients/test_postman.py",
    "make bench …": ".venv/bin/python -m benchmarks --runs 5",
    "make soak …": ".venv/bin/python -m tests.soak --minutes",
    "make words": ".venv/bin/python .ci/words.py",
    "make screenshots": ".venv/bin/python -m tests.browser.screenshots",
    "make lighthouse": ".venv/bin/python -m tests.lighthouse",
    "make pythons": "-m pytest -q -n 2 --dist loadfile --no-loadscope-reorder tests/unit",
    "make audit": ".venv/bin/python .ci/check_advisories.py --required",
    "make sbom": ".venv/bin/cyclonedx-py requirements",
    "make lock …": ".venv/bin/python .ci/locks.py --write",
}
"""What `make` would run: this very run, a part of it, or what takes an hour or asks an index."""

_FIRST_STEPS, _OPERATIONS = "documents/test_first_steps.py::", "documents/test_operations.py::"
_EXAMPLE = (
    "documents/test_adding_a_resource.py"
    "::test_two_resources_pass_every_check_beside_one_that_is_there"
)
_FIELD = (
    "documents/test_a_field_of_users.py"
    "::test_a_field_of_users_is_a_change_of_the_files_that_the_page_lists"
)
_IMAGE = "faults/test_image.py::test_it_migrates_serves_and_is_healthy"
_COMPOSE = "unit/test_deploy_files.py::test_the_compose_file_keeps_to_its_schema"
_KUBERNETES = "unit/test_documented_commands.py::test_kubernetes_manifests_name_existing_files"
_IN_CONTAINERS = "faults/test_restore.py::test_so_does_one_that_was_restored_in_its_container"
_RESTORE = "faults/test_restore.py::test_a_restored_database_has_all_users_and_no_sessions"
_ROLES = f"{_OPERATIONS}test_while_two_roles_log_in_a_password_may_change"
_PASSWORDS = f"{_OPERATIONS}test_while_redis_takes_two_passwords_one_may_change"
_WORKER = "faults/test_jobs.py::test_r16_a_worker_that_is_told_to_stop_ends_in_order"
_FIRST = f"{_FIRST_STEPS}test_the_first_requests_are_answered_as_the_readme_shows"
_MIGRATION = f"{_FIRST_STEPS}test_a_migration_is_made_run_and_taken_back"
_TYPESCRIPT = "clients/test_typescript_client.py::test_the_page_installs_what_the_tests_have"
_SEARCH = f"{_OPERATIONS}test_the_index_for_search_may_be_made_later"
_RELOAD = (
    "integration/test_cli_serve.py::"
    "test_u11_a_reload_shows_every_kind_of_file_and_keeps_the_servers"
)
_OTHER_RELOADER = "integration/test_cli_serve.py::test_a_reloader_of_others_keeps_the_servers"
_OWN_SERVERS = (
    "integration/test_own_servers.py::test_the_tests_pass_on_own_servers_and_leave_other_data_alone"
)

ELSEWHERE = {
    "GRANT EXECUTE ON FUNCTION audit_partitions_ahead, audit_partitions_drop TO app;": (
        "integration/test_audit_partitions.py"
        "::test_a_role_that_owns_nothing_records_and_rotates_and_cannot_do_more"
    ),
    "make run": f"{_FIRST_STEPS}test_make_run_serves_from_nothing_and_stops",
    "curl -s http://127.0.0.1:8000/…": _FIRST,
    "TOKEN=$(curl -s http://127.0.0.1:8000/…": _FIRST,
    '.venv/bin/alembic revision --autogenerate -m "add something"': _MIGRATION,
    '.venv/bin/alembic revision --autogenerate -m "add phone"': _FIELD,
    ".venv/bin/backend migrate": _MIGRATION,
    ".venv/bin/backend migrate -1": _MIGRATION,
    "backend recount": "integration/test_cli.py"
    "::test_the_doctor_finds_wrong_counters_and_recount_corrects_them",
    "backend migrate": _MIGRATION,
    "backend migrate -1": _MIGRATION,
    "make check": _EXAMPLE,
    "make openapi": _EXAMPLE,
    "make migrate": _EXAMPLE,
    ".venv/bin/backend new resource …": _EXAMPLE,
    ".venv/bin/backend new product …": "documents/test_new_product.py"
    "::test_a_renamed_product_passes_every_check",
    "backend new resource": _EXAMPLE,
    "backend dev": _RELOAD,
    ".venv/bin/backend dev": _RELOAD,
    ".venv/bin/backend serve": "integration/test_cli.py::test_serve_prints_all_urls",
    ".venv/bin/fastapi dev": _OTHER_RELOADER,
    "uvicorn main:app --reload": _OTHER_RELOADER,
    ".venv/bin/fastapi run": "integration/test_cli_serve.py::test_fastapi_run_serves_and_stops",
    ".venv/bin/python -m pytest tests/…": _OWN_SERVERS,
    "TEST_DATABASE_URL=…": _OWN_SERVERS,
    "backend serve": "integration/test_cli.py::test_serve_prints_all_urls",
    "backend worker": _WORKER,
    "backend test-mail you@example.com": (
        "integration/test_cli_mail.py::test_a_test_mail_arrives_and_the_servers_answer_is_printed"
    ),
    "python -m app.cli worker": _WORKER,
    "uvicorn main:app": "integration/test_cli.py::test_plain_uvicorn_does_the_same",
    "uvicorn main:app --workers 2": "integration/test_cli_serve.py"
    "::test_f12_workers_and_embedded_servers_end_with_a_parent_that_is_killed",
    ".venv/bin/backend seed --users …": "integration/test_cli.py"
    "::test_seed_creates_the_requested_number",
    "alembic upgrade head --sql": "integration/test_migration_scripts.py"
    "::test_a_script_makes_what_the_migrations_make",
    "backend reset-mfa EMAIL": "integration/test_cli_mfa.py"
    "::test_the_factors_of_a_user_are_reset_by_email",
    "backend reseal-secrets": "integration/test_cli_mfa.py"
    "::test_secrets_are_encrypted_anew_by_a_command",
    "backend set-password EMAIL": "integration/test_cli.py"
    "::test_c31_a_password_that_was_forgotten_is_set",
    "backend import-users FILE": "integration/test_user_import.py"
    "::test_the_command_says_how_many_and_fails_where_any_was_refused",
    "openapi-python-client generate …": "clients/test_generated_client.py::test_its_types_hold",
    "npm install openapi-fetch": _TYPESCRIPT,
    "npm install --save-dev openapi-typescript typescript@5": _TYPESCRIPT,
    "npx openapi-typescript docs/openapi.json …": "clients/test_typescript_client.py"
    "::test_its_types_hold",
    "pytest --pgbouncer tests/integration": "faults/test_pgbouncer.py"
    "::test_the_integration_tests_of_the_database_pass",
    "python -m tests.faults --kills 200": "faults/test_jobs.py"
    "::test_r16_no_job_or_mail_is_lost_or_runs_without_its_commit_whatever_is_killed",
    "pytest tests/faults": "faults/conftest.py::pytest_terminal_summary",  # part of `make test`
    "cp deploy/api.env.example deploy/api.env": _COMPOSE,
    "cp deploy/postgres.env.example deploy/postgres.env": _COMPOSE,
    "docker compose --file deploy/compose.yaml up …": _COMPOSE,
    "docker compose --file deploy/compose.yaml build": _COMPOSE,
    "docker compose --file deploy/compose.yaml run --rm migrate": _COMPOSE,
    "docker compose --file deploy/compose.yaml stop …": _IN_CONTAINERS,
    "docker compose --file deploy/compose.yaml exec …": _IN_CONTAINERS,
    "cp deploy/k8s/secret.example.yaml deploy/k8s/secret.yaml": _KUBERNETES,
    "kubectl …": _KUBERNETES,
    "pip install --require-hashes -r deploy/requirements.lock": _IMAGE,
    "python -m app.cli migrate": _IMAGE,
    "python -m app.cli serve": _IMAGE,
    "pg_dump …": _RESTORE,
    "pg_restore …": _RESTORE,
    'psql "$RESTORED_URL" …': _RESTORE,
    "GRANT app TO app_a, app_b": _ROLES,
    "ALTER ROLE app_a SET role = app": _ROLES,
    "ACL SETUSER default >new": _PASSWORDS,
    "ACL SETUSER default <old": _PASSWORDS,
    "CREATE EXTENSION pg_trgm": _SEARCH,
    "CREATE INDEX CONCURRENTLY ix_users_search …": _SEARCH,
}
"""By a test of its own, or, where there is no container engine and no cluster, the test that stands
in for it."""


def fits(command: str, key: str) -> bool:
    """Whether a key of a table stands for a command."""
    return command.startswith(key[:-1].rstrip()) if key.endswith("…") else command == key

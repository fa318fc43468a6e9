"""C16: URLs of PostgreSQL as people paste them."""

import certifi
import pytest
from pydantic import SecretStr

from app.core.config import DatabaseSettings
from app.core.config.postgres import PostgresAddress, parse_postgres
from app.database.driver import connect_arguments

CA = certifi.where()


def parsed(url: str) -> PostgresAddress:
    return parse_postgres("DATABASE_URL", SecretStr(url))


PASTED = {
    "Supabase, its pooler": (
        (
            "postgres://postgres.ref:pw@aws-0-eu.pooler.supabase.com:6543/postgres"
            "?sslmode=require&supa=base-pooler.x"
        ),
        (("aws-0-eu.pooler.supabase.com",), (6543,), {"sslmode": "require"}, {}),
        ["supa is ignored"],
    ),
    "Neon": (
        (
            "postgresql://neondb_owner:npg_pw@ep-cool-1-pooler.eu-central-1.aws.neon.tech/neondb"
            "?sslmode=require&channel_binding=require&options=endpoint%3Dep-cool-1"
        ),
        (
            ("ep-cool-1-pooler.eu-central-1.aws.neon.tech",),
            (),
            {"sslmode": "require"},
            {"options": "endpoint=ep-cool-1"},
        ),
        ["channel_binding is ignored"],
    ),
    "Prisma": (
        (
            "postgresql://app:pw@db:5432/app?schema=Shop&connection_limit=1&pool_timeout=20"
            "&connect_timeout=10&sslaccept=strict&pgbouncer=true&statement_cache_size=0"
        ),
        (
            ("db",),
            (5432,),
            {"sslmode": "verify-full", "sslrootcert": "system"},
            {"search_path": '"Shop"'},
        ),
        [
            "connection_limit is ignored: set DATABASE_POOL_SIZE",
            "pool_timeout is ignored: set DATABASE_POOL_TIMEOUT",
            "pgbouncer is ignored: set DATABASE_POOLER=transaction",
            "statement_cache_size is ignored: set DATABASE_POOLER=transaction",
        ],
    ),
    "RDS": (
        (
            f"postgresql://app:pw@app.x.rds.amazonaws.com:5432/app?sslmode=verify-full&sslrootcert={CA}"
            "&target_session_attrs=read-write&application_name=shop&keepalives=1"
        ),
        (
            ("app.x.rds.amazonaws.com",),
            (5432,),
            {"sslmode": "verify-full", "sslrootcert": CA, "target_session_attrs": "read-write"},
            {"application_name": "shop"},
        ),
        [],
    ),
    "Heroku": (
        "postgres://u:p@ec2-1.compute-1.amazonaws.com:5432/d1?ssl=true&keepalives_idle=30",
        (("ec2-1.compute-1.amazonaws.com",), (5432,), {"sslmode": "require"}, {}),
        ["keepalives_idle is ignored"],
    ),
    "options": (
        (
            "postgresql://app@db/app?options=-c%20search_path%3Da,%5C%20b%20-cjit%3Don"
            "%20--lock-timeout=3s%20-c%20statement_timeout=0"
        ),
        (("db",), (), {}, {"search_path": "a, b", "lock_timeout": "3s"}),
        [
            "jit is ignored: it is always off",
            "statement_timeout is ignored: DATABASE_STATEMENT_TIMEOUT decides it",
        ],
    ),
}


@pytest.mark.parametrize(("url", "wanted", "warnings"), PASTED.values(), ids=PASTED)
def test_c16_a_pasted_url_is_honoured_or_its_parameter_named(url, wanted, warnings):
    address = parsed(url)

    assert (address.hosts, address.ports, address.driver, address.server) == wanted
    assert address.warnings(is_pooled=False) == warnings


def test_c16_behind_a_pooler_there_is_no_advice_to_set_a_pooler():
    address = parsed("postgresql://app@db/app?pgbouncer=true&supa=x")

    assert address.warnings(is_pooled=True) == ["supa is ignored"]


@pytest.mark.parametrize(
    ("url", "hosts", "ports"),
    [
        ("postgresql://u@a:1,b:2/app", ("a", "b"), (1, 2)),
        ("postgresql://u@a,b:5433/app", ("a", "b"), (5432, 5433)),
        ("postgresql://u@a,b/app?port=7", ("a", "b"), (7, 7)),
        ("postgresql://u@/app?host=a:1&host=b:2", ("a", "b"), (1, 2)),
        ("postgresql:///app?host=a,b&port=1,2", ("a", "b"), (1, 2)),
        ("postgresql:///app?host=a&host=b&port=1&port=2", ("a", "b"), (1, 2)),
        ("postgresql:///app?host=a,b&port=1,", ("a", "b"), (1, 5432)),
        ("postgresql://u@a,b:5432/app", ("a", "b"), (5432, 5432)),
        ("postgresql:///app?host=::1,[::2]:7&port=5433", ("::1", "::2"), (5433, 7)),
        ("postgresql://u@[::1]:7,[fe80::1%25eth0]/app", ("::1", "fe80::1%eth0"), (7, 5432)),
        ("postgresql:///app?host=::1,/run/postgresql", ("::1", "/run/postgresql"), ()),
        ("postgresql://%2Frun%2FPostgres:6/app", ("/run/Postgres",), (6,)),
        ("postgresql:///app?service=main", (), ()),
        ("postgresql:///app?hostaddr=10.0.0.1", ("10.0.0.1",), ()),
    ],
)
def test_c16_several_hosts_in_every_form_of_libpq(url, hosts, ports):
    address = parsed(url)

    assert (address.hosts, address.ports) == (hosts, ports)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("sslmode=verify_full", "sslmode"),
        ("sslmode=hunter2", "sslmode"),
        ("ssl=hunter2", "sslmode"),
        ("sslmode=verify-full&sslrootcert=/hunter2", "sslrootcert"),
        ("sslmode=require&sslrootcert=system", "sslrootcert"),
        ("sslcert=/hunter2", "sslcert"),
        ("sslkey=/hunter2", "sslkey"),
        ("sslcrl=/hunter2", "sslcrl"),
        ("ssl_min_protocol_version=hunter2", "ssl_min_protocol_version"),
        ("sslnegotiation=hunter2", "sslnegotiation"),
        ("target_session_attrs=hunter2", "target_session_attrs"),
        ("connect_timeout=hunter2", "connect_timeout"),
        ("connect_timeout=nan", "connect_timeout"),
        ("port=1,2", "port"),
    ],
)
def test_c16_an_invalid_value_is_refused_by_name_and_not_shown(query, parameter):
    with pytest.raises(ValueError, match=rf"^DATABASE_URL: {parameter}\b") as caught:
        parsed(f"postgresql://app:pw@db/app?{query}")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("seconds", ["0", "-1"])
def test_c16_no_time_to_connect_is_the_services_own(seconds):
    settings = DatabaseSettings(
        url=SecretStr(f"postgresql://app@db/app?connect_timeout={seconds}"), connect_timeout=4
    )

    assert connect_arguments(settings)["timeout"] == 4


def test_c16_a_urls_time_to_connect_is_taken():
    settings = DatabaseSettings(url=SecretStr("postgresql://app@db/app?connect_timeout=10"))

    assert connect_arguments(settings)["timeout"] == 10


def test_c16_the_services_own_settings_are_never_overridden():
    url = "postgresql://app@db/app?options=-c%20statement_timeout=0%20-c%20jit=on&schema=shop"
    sent = connect_arguments(DatabaseSettings(url=SecretStr(url)))["server_settings"]

    assert sent["statement_timeout"] == "25000"
    assert sent["jit"] == "off"
    assert sent["search_path"] == '"shop"'


def test_c16_the_systems_certificates_verify_in_full():
    url = "postgresql://app@db/app?sslmode=verify-full&sslrootcert=system"
    context = connect_arguments(DatabaseSettings(url=SecretStr(url)))["ssl"]

    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_c16_a_password_is_not_shown():
    assert "hunter2" not in repr(parsed("postgresql://app:hunter2@db/app?sslpassword=x"))

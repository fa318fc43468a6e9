"""Settings: every one listed, read, checked, and never shown where it is a secret."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.core.config import DatabaseSettings, Settings, SettingsError, load_settings, variables

Tell = Callable[..., None]

PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://app:secret@db.internal/app",
    "CACHE_REDIS_URL": "redis://:secret@cache.internal",
    "LIMITER_REDIS_HOST": "limiter.internal",
    "AUTH_SECRET_KEY": "k" * 32,
}
SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"
SECRETS = sorted(
    name
    for name, (section, field) in variables().items()
    if "SecretStr" in str(section.model_fields[field].annotation)
)


@pytest.fixture(autouse=True)
def tell(monkeypatch) -> Tell:
    """Set variables of the environment, in which there is no setting before."""
    for name in variables():
        monkeypatch.delenv(name, raising=False)

    def tell(**environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return tell


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / ".env"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def example(repository: Path) -> str:
    return (repository / ".env.example").read_text(encoding="utf-8")


def refusal(env_file: Path | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file)
    return caught.value


def problem(env_file: Path | None = None) -> str:
    (only,) = refusal(env_file).problems
    return only


def settings_in(example: str) -> list[str]:
    return re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE)


def test_the_example_lists_every_setting_and_no_other_in_the_order_of_the_sections(example):
    listed, names = settings_in(example), list(variables())

    missing = [name for name in names if name not in listed]
    assert not missing, f"add to .env.example, each below a comment with its description: {missing}"
    assert set(listed) <= set(names), "remove from .env.example what is no setting"
    assert listed == names, "list the settings in the order of the sections"


@pytest.mark.parametrize("name", variables())
def test_the_example_describes_a_setting_in_the_line_above(example, name):
    section, field = variables()[name]
    described = section.model_fields[field]
    is_unset = described.default is None or "development:" in str(described.description)

    lines = example.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.removeprefix("# ").startswith(f"{name}=")]

    assert lines[at].startswith("# ") == is_unset
    assert lines[at - 1] == f"# {described.description}"


def test_a_copy_of_the_example_gives_the_defaults(write, example):
    assert load_settings(write(example)) == load_settings()


def test_every_example_is_a_value_that_is_accepted(write, example):
    uncommented = re.sub(r"^# (?=[A-Z_]+=)", "", example, flags=re.MULTILINE)

    settings = load_settings(write(uncommented))

    assert settings.database.is_named
    assert settings.cache.is_named


def test_without_settings_it_is_development_with_embedded_servers():
    settings = load_settings()

    assert settings.app.environment == "development"
    assert settings.database.kind == "embedded"
    assert settings.cache.dsn() is settings.limiter.dsn() is None


@pytest.mark.parametrize(
    ("environment", "told", "runs"),
    [
        ("development", {}, True),
        ("development", {"JOBS_IN_PROCESS": "false"}, False),
        ("test", {}, False),
        ("production", {}, False),
        ("production", {"JOBS_IN_PROCESS": "true"}, True),
    ],
)
def test_web_processes_run_jobs_in_development_and_where_they_are_told_to(
    tell, environment, told, runs
):
    tell(**{**PRODUCTION, "ENVIRONMENT": environment, **told})

    assert load_settings().run_jobs_in_web is runs


LOGIN_LIMITS = ("LIMITER_LOGIN", "LIMITER_LOGIN_ADDRESS", "LIMITER_SIGN_UP")


def rates() -> list[str]:
    limiter = load_settings().limiter
    return [limiter.login, limiter.login_address, limiter.sign_up]


def test_the_limits_of_logins_and_sign_ups_stop_no_developer(tell):
    """U5."""
    assert rates() == ["100/minute", "600/minute", "200/minute"]


@pytest.mark.parametrize("environment", ["test", "production"])
def test_only_a_developer_may_log_in_more_often(tell, environment):
    """U5."""
    tell(**{**PRODUCTION, "ENVIRONMENT": environment})

    assert rates() == ["5/minute", "30/minute", "10/minute"]


@pytest.mark.parametrize("name", LOGIN_LIMITS)
def test_a_limit_that_is_set_holds_in_development_too(tell, write, name):
    """U5: one that is set to production's default included."""
    section, field = variables()[name]
    default = section.model_fields[field].default
    tell(**{name: default})

    assert rates()[LOGIN_LIMITS.index(name)] == default


def test_the_environment_goes_before_the_file(tell, write):
    tell(SERVER_PORT="8001")

    settings = load_settings(write("SERVER_PORT=8002\nSERVER_HOST=0.0.0.0"))

    assert (settings.server.port, settings.server.host) == (8001, "0.0.0.0")


def test_a_file_that_is_not_there_is_an_empty_one(tmp_path):
    assert load_settings(tmp_path / ".env") == load_settings()


def test_an_empty_value_is_the_default(tell):
    tell(SERVER_PORT="", CACHE_REDIS_URL="")

    assert load_settings().server.port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "staging"),
        ("SERVER_PORT", "eighty"),
        ("SERVER_PORT", "65536"),
        ("SERVER_WORKERS", "0"),
        ("SERVER_REQUEST_TIMEOUT", "-1"),
        ("SERVER_FORCE_HTTPS", "perhaps"),
        ("DATABASE_PROVIDER", "mysql"),
        ("DATABASE_POOLER", "statement"),
        ("DATABASE_POOL_SIZE", "1.5"),
        ("CACHE_REDIS_DB", "16"),
        ("LIMITER_LOGIN", "often"),
        ("AUTH_SECRET_KEY", "short"),
        ("AUTH_ACCEPTED_SECRET_KEYS", "k" * 32 + ",short"),
        ("LOG_LEVEL", "LOUD"),
        ("TELEMETRY_SCRAPE_TOKEN", "short"),
        ("TELEMETRY_OTLP_ENDPOINT", "collector:4317"),
        ("TELEMETRY_TRACE_RATIO", "2"),
    ],
)
def test_a_malformed_value_is_refused_by_name(tell, name, value):
    tell(**{name: value})

    assert problem().startswith(f"{name}: ")


def test_a_malformed_value_in_the_file_is_refused_by_name(write):
    assert problem(write("SERVER_PORT=eighty")).startswith("SERVER_PORT: ")


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("DATABASE_ULR", "DATABASE_URL"),
        ("AUTH_ACCESS_TLL", "AUTH_ACCESS_TTL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("SERVR_PORT", "SERVER_PORT"),
        ("AUHT_SECRET_KEY", "AUTH_SECRET_KEY"),
        ("ENVIROMENT", "ENVIRONMENT"),
        ("FIRST_SUPERUSER_MAIL", "FIRST_SUPERUSER_EMAIL"),
    ],
)
def test_a_misspelt_name_in_the_environment_is_refused_with_a_suggestion(tell, misspelt, meant):
    tell(**{misspelt: "x"})

    assert problem() == f"{misspelt}: no such setting, did you mean {meant}?"


@pytest.mark.parametrize("misspelt", ["SERVER_PROT", "SRV_PORT", "PORT_SERVER"])
def test_any_name_in_the_file_that_is_no_setting_is_refused(write, misspelt):
    assert problem(write(f"{misspelt}=1")).startswith(f"{misspelt}: no such setting")


def test_names_are_read_without_regard_to_case(tell, write):
    tell(server_port="8001")

    assert load_settings(write("log_level=DEBUG")).server.port == 8001


def test_unrelated_environment_variables_are_ignored(tell):
    tell(HOME="/", PORT="80", NAME="x", USERNAME="x", PGHOST="x", REDIS_URL="x", PYTHONPATH=".")

    assert load_settings().server.port == 8000


@pytest.mark.parametrize("line", ["SERVER_PORT 8000", "SERVER_PORT", "'", "=8000"])
def test_a_line_in_the_file_that_sets_nothing_is_refused(write, line):
    assert (
        ".env, line 2: not of the form NAME=value" in refusal(write(f"# ports\n{line}\n")).problems
    )


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / ".env").write_text("SERVER_PORT=8000", encoding="utf-16")

    assert problem(tmp_path / ".env") == f"{tmp_path / '.env'}: not readable as UTF-8"


def test_all_problems_are_reported_at_once(tell, write):
    tell(SERVER_PORT="x", LOG_LEVEL="x", CACHE_TTL="5", DATABASE_URL="mysql://db")
    env_file = write("AUTH_SECRET_KEY=x\nLOG_FROMAT=json")

    message = str(refusal(env_file))

    names = "SERVER_PORT", "LOG_LEVEL", "CACHE_TTL", "DATABASE_URL", "AUTH_SECRET_KEY", "LOG_FROMAT"
    assert [name for name in names if f"  {name}" in message] == list(names)


def test_missing_and_misspelt_settings_are_reported_together(tell):
    tell(**PRODUCTION | {"DATABASE_URL": ""}, DATABSE_URL=PRODUCTION["DATABASE_URL"])

    assert refusal().problems == [
        "DATABSE_URL: no such setting, did you mean DATABASE_URL?",
        "DATABASE_URL (or DATABASE_HOST): must be set",
    ]


@pytest.mark.parametrize("name", variables())
def test_no_value_is_ever_shown_by_a_refusal(tell, name):
    tell(**{name: SECRET}, SERVER_PROT=SECRET, CORS_ORIGIN=SECRET)

    shown = "".join(traceback.format_exception(refusal()))

    assert "SERVER_PROT" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "address",
    [
        "mysql://app:hunter2@db/app",
        "://app:hunter2@db/app",
        "app:hunter2@db/app",
        "{scheme}://app:hunter2@db:port/app",
        "{scheme}://app:hunter2@db:65536/0",
        "{scheme}://app:hunter2#hunter2@db/0",
        "{scheme}://app:12#hunter2@db/0",
        "{scheme}://app:12?hunter2@db/0",
        "{scheme}://app:12/hunter2@db/0",
        "{scheme}://app:hunter2@hunter2@db/0",
        "{scheme}://app:[hunter2]@db/0",
        "{scheme}://app:hunter2℀@db/0",
        "{scheme}://app:hunter2@/0",
        "{scheme}://",
    ],
)
@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("DATABASE_URL", "postgresql"),
        ("CACHE_REDIS_URL", "redis"),
        ("LIMITER_REDIS_URL", "rediss"),
        ("MAIL_URL", "smtp"),
    ],
)
def test_a_url_of_no_use_is_refused_by_name_and_not_shown(tell, name, scheme, address):
    tell(**{name: address.format(scheme=scheme)})

    error = refusal()

    assert error.problems[0].startswith(f"{name} must ")
    assert "hunter2" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("show", [repr, str, lambda settings: repr(settings.model_dump())])
def test_settings_show_no_secret(tell, show):
    addresses = {
        "DATABASE_URL": f"postgresql://app:{SECRET}@db/app",
        "DATABASE_MIGRATION_URL": f"postgresql://app:{SECRET}@db/app",
        "DATABASE_REPLICA_URLS": f"postgresql://app:{SECRET}@db/app",
        "CACHE_REDIS_URL": f"redis://:{SECRET}@cache",
        "LIMITER_REDIS_URL": f"redis://:{SECRET}@limiter",
        "MAIL_URL": f"smtp://app:{SECRET}@mail",
        "MAIL_FROM": "no-reply@example.com",
    }
    tell(**dict.fromkeys(SECRETS, SECRET) | addresses)

    shown = show(load_settings())

    assert "**********" in shown
    assert "hunter2" not in shown


def test_every_setting_that_is_called_a_secret_is_one():
    named = [
        name
        for name in variables()
        if name.endswith(("PASSWORD", "KEY", "KEYS", "TOKEN", "SECRET", "URL"))
    ]

    assert named
    public = {"MAIL_LINK_BASE_URL", "AUTH_BREACH_CHECK_URL"}  # without user and password
    assert set(named) - public <= set(SECRETS)


def test_production_with_all_it_needs_is_accepted(tell):
    tell(**PRODUCTION)

    settings = load_settings()

    assert settings.is_production
    assert settings.database.kind == "postgresql"


def test_production_names_everything_that_is_missing(tell):
    tell(ENVIRONMENT="production")

    assert [line.split()[0] for line in refusal().problems] == [
        "DATABASE_URL",
        "AUTH_SECRET_KEY:",
        "CACHE_REDIS_URL",
        "LIMITER_REDIS_URL",
    ]


@pytest.mark.parametrize("name", sorted(PRODUCTION.keys() - {"ENVIRONMENT"}))
def test_production_never_falls_back(tell, name):
    tell(**PRODUCTION | {name: ""})

    assert problem().startswith(name.partition("_")[0])
    assert problem().endswith("must be set")


def test_production_needs_no_redis_for_what_is_switched_off(tell):
    tell(**PRODUCTION | {"CACHE_REDIS_URL": "", "CACHE_ENABLED": "false"})

    assert not load_settings().cache.enabled


def test_production_refuses_the_embedded_database(tell):
    tell(**PRODUCTION, DATABASE_PROVIDER="embedded")

    assert problem().startswith("DATABASE_PROVIDER ")


@pytest.mark.parametrize("provider", ["postgresql", "supabase"])
def test_a_provider_without_an_address_is_refused_everywhere(tell, provider):
    tell(DATABASE_PROVIDER=provider)

    assert problem().startswith("DATABASE_URL (or DATABASE_HOST)")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_sections_are_frozen(name):
    section = getattr(load_settings(), name)
    field = next(iter(type(section).model_fields))

    with pytest.raises(ValidationError, match="frozen"):
        setattr(section, field, None)


def test_settings_are_frozen():
    settings = load_settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.app = settings.app  # type: ignore[misc]  # what is refused here


@pytest.mark.parametrize("service", ["CACHE", "SERVER", "DATABASE", "AUTH", "CACHE_REDIS", "LOG"])
def test_a_kubernetes_service_of_the_same_name_is_no_setting(tell, service):
    untouched = load_settings()
    tell(
        **{
            f"{service}_SERVICE_HOST": "10.0.0.1",
            f"{service}_SERVICE_PORT": "6379",
            f"{service}_SERVICE_PORT_TCP_REDIS": "6379",
            f"{service}_PORT": "tcp://10.0.0.1:6379",
            f"{service}_PORT_6379_TCP": "tcp://10.0.0.1:6379",
            f"{service}_PORT_6379_TCP_ADDR": "10.0.0.1",
            f"{service}_PORT_6379_TCP_PORT": "6379",
            f"{service}_PORT_6379_TCP_PROTO": "tcp",
        }
    )

    assert load_settings() == untouched


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("api.example.com", ("api.example.com",)),
        ("api.example.com, *.example.org ,", ("api.example.com", "*.example.org")),
        (",", ()),
    ],
)
def test_a_list_is_separated_by_commas(tell, value, hosts):
    tell(SERVER_TRUSTED_HOSTS=value)

    assert load_settings().server.trusted_hosts == hosts


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("https://app.example.com/", "https://app.example.com"),
        ("  https://app.example.com  ", "https://app.example.com"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80/", "http://app.example.com"),
        ("https://app.example.com:0443", "https://app.example.com"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("https://xn--mnchen-3ya.de", "https://xn--mnchen-3ya.de"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", "*"),
    ],
)
def test_an_origin_is_taken_as_a_browser_sends_it(tell, value, origin):
    """C15"""
    tell(CORS_ORIGINS=value)

    assert load_settings().cors.origins == (origin,)


@pytest.mark.parametrize(
    "value",
    [
        *("app.example.com", "localhost:3000", "//app.example.com", "https://", "https:///"),
        *("https://app.example.com/app", "https://app.example.com//", "https://a.example.com?x"),
        *("https://a.example.com#x", "https://user@a.example.com", "https://u:p@a.example.com"),
        *("https://*.example.com", "https://app.*", "null", "https://a.example.com https://b.c"),
        *("https://a .example.com", "https://a.example.com:0", "https://a.example.com:65536"),
        *("https://a.example.com:x", "https://a.example.com:", "https://[::g]", "https://[", "/"),
        *("https://münchen.de", '"https://a.example.com"', '["https://a.example.com"]'),
        *("htps://a.example.com", "ftp://a.example.com", "https://a..b", "https://.a", "*, null"),
        *("*,https://a.example.com", "https://a.example.com\u200b", "https:\\\\a.example.com"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(tell, value):
    """C15"""
    tell(CORS_ORIGINS=value)

    assert problem().startswith("CORS_ORIGINS: ")


def test_an_invalid_origin_is_reported_by_position_without_its_value(tell):
    """C15"""
    tell(CORS_ORIGINS="https://a.example.com, hunter2/, https://b.example.com")

    assert problem().startswith("CORS_ORIGINS: item 2 should be an origin such as https://app.")
    assert "hunter2" not in problem()


def test_credentials_are_not_for_any_origin(tell):
    """C15"""
    tell(CORS_ORIGINS="*", CORS_ALLOW_CREDENTIALS="true")

    assert problem().startswith("CORS_ORIGINS: * would let any site act")


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("API.example.com", ("api.example.com",)),
        ("*.Example.com,[0::1]", ("*.example.com", "[::1]")),
        ("::1, 10.0.0.1,localhost", ("[::1]", "10.0.0.1", "localhost")),
        ("*", ("*",)),
    ],
)
def test_a_trusted_host_is_taken_as_the_header_has_it(tell, value, hosts):
    """C15"""
    tell(SERVER_TRUSTED_HOSTS=value)

    assert load_settings().server.trusted_hosts == hosts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER_TRUSTED_HOSTS", "https://api.example.com"),
        ("SERVER_TRUSTED_HOSTS", "api.example.com:8000"),
        ("SERVER_TRUSTED_HOSTS", "api.example.com/"),
        ("SERVER_TRUSTED_HOSTS", "api.example.com b.example.com"),
        ("SERVER_TRUSTED_HOSTS", "*example.com"),
        ("SERVER_TRUSTED_HOSTS", "api.*.com"),
        ("SERVER_TRUSTED_HOSTS", "[::1]:8000"),
        ("SERVER_TRUSTED_HOSTS", "*, api.example.com"),
        ("SERVER_FORWARDED_ALLOW_IPS", "proxy.internal"),
        ("SERVER_FORWARDED_ALLOW_IPS", "10.0.0.0/33"),
        ("SERVER_FORWARDED_ALLOW_IPS", "10.0.0.256"),
        ("SERVER_FORWARDED_ALLOW_IPS", "10.0.0.*"),
        ("SERVER_FORWARDED_ALLOW_IPS", "10.0.0.1:80"),
        ("SERVER_FORWARDED_ALLOW_IPS", "*,10.0.0.1"),
        ("CACHE_PREFIX", "my api"),
        ("CACHE_PREFIX", "my*"),
        ("CACHE_PREFIX", "my[a]"),
        ("CACHE_PREFIX", "my?"),
        ("CACHE_PREFIX", "my\\"),
        ("TELEMETRY_OTLP_ENDPOINT", "http://"),
        ("TELEMETRY_OTLP_ENDPOINT", "http://["),
        ("TELEMETRY_OTLP_ENDPOINT", "http://collector:99999"),
        ("TELEMETRY_OTLP_ENDPOINT", "http://user:pass@collector:4318"),
        ("TELEMETRY_OTLP_ENDPOINT", "http://collector:4318?x=1"),
        ("TELEMETRY_OTLP_ENDPOINT", "grpc://collector:4317"),
        ("TELEMETRY_OTLP_ENDPOINT", "http://collector: 4318"),
    ],
)
def test_a_trusted_host_that_matches_nothing_is_refused_by_name(tell, name, value):
    """C15"""
    tell(**{name: value})

    assert problem().startswith(f"{name}: ")


def test_a_proxy_is_an_address_or_a_network(tell):
    """C15: uvicorn would take `10.1.2.3/8` for a name, and believe nobody."""
    tell(SERVER_FORWARDED_ALLOW_IPS="10.1.2.3/8, 0::1,192.0.2.7,10.0.0.0/8")

    assert load_settings().server.forwarded_allow_ips == ("10.0.0.0/8", "::1", "192.0.2.7")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_any_name_of_postgresql_is_its_scheme(tell, scheme):
    tell(DATABASE_URL=f"{scheme}://app:secret@db:6543/app")

    assert where(load_settings().database) == ("app", "secret", ("db",), (6543,), "app")


def where(database: DatabaseSettings) -> tuple[object, ...]:
    address = database.address()
    secret = address.password and address.password.get_secret_value()
    return address.user, secret, address.hosts, address.ports, address.database


def test_a_unix_socket_is_a_server_too(tell):
    tell(DATABASE_URL="postgresql:///app?host=/run/postgresql")

    assert where(load_settings().database) == (None, None, ("/run/postgresql",), (), "app")


@pytest.mark.parametrize("password", ["p@ss:w/rd?#[%]&= +", "пароль", "%40"])
def test_the_parts_of_an_address_may_hold_any_character(tell, password):
    tell(DATABASE_HOST="db", DATABASE_USER="a@b", DATABASE_PASSWORD=password, DATABASE_NAME="a/b")

    assert where(load_settings().database) == ("a@b", password, ("db",), (5432,), "a/b")


@pytest.mark.parametrize(
    ("value", "hosts", "ports"),
    [
        ("a,b", ("a", "b"), (5433, 5433)),
        ("a, b:1", ("a", "b"), (5433, 1)),
        ("::1,[::2]:1", ("::1", "::2"), (5433, 1)),
        ("/run/postgresql,b", ("/run/postgresql", "b"), (5433, 5433)),
    ],
)
def test_f11_several_hosts_are_separated_by_commas(tell, value, hosts, ports):
    """F11: `a:1` was taken for the name of a host."""
    tell(DATABASE_HOST=value, DATABASE_PORT="5433")

    assert where(load_settings().database)[2:4] == (hosts, ports)


@pytest.mark.parametrize("value", ["a,", "a:b", "a:0", ",", "a:1:[2"])
def test_f11_an_invalid_host_is_refused_by_name(tell, value):
    tell(DATABASE_HOST=value)

    assert problem().startswith("DATABASE_HOST must be a host, or hosts separated by commas")


def test_a_password_in_a_url_is_decoded_once(tell):
    tell(DATABASE_URL="postgresql://app:p%40ss%2540@db/app")

    assert where(load_settings().database)[1] == "p@ss%40"


@pytest.mark.parametrize(
    "address",
    [
        {"DATABASE_URL": "postgresql://app:secret@db.supabase.co/postgres"},
        {"DATABASE_HOST": "db.supabase.co"},
    ],
)
def test_supabase_is_reached_by_tls(tell, address):
    tell(DATABASE_PROVIDER="supabase", **address)

    assert load_settings().database.address().driver == {"sslmode": "require"}


def test_supabase_accepts_a_stricter_sslmode(tell):
    tell(DATABASE_PROVIDER="supabase", DATABASE_URL="postgresql://a:b@db/app?sslmode=verify-full")

    assert load_settings().database.address().driver == {"sslmode": "verify-full"}


def test_replicas_are_separated_by_commas_or_spaces_and_each_may_have_several_hosts(tell):
    one, two = "postgresql://app:a%2Cb@r1,r2:6/app", "postgres://app:b@r3/app"
    for separator in ",", ", ", " ", ",\n":
        tell(**PRODUCTION, DATABASE_REPLICA_URLS=f"{one}{separator}{two}")
        database = load_settings().database

        hosts = [replica.address().hosts for replica in database.replicas()]
        assert hosts == [("r1", "r2"), ("r3",)]


def test_a_replica_is_refused_by_its_number_and_not_shown(tell):
    tell(
        **PRODUCTION,
        DATABASE_REPLICA_URLS=f"postgresql://app:{SECRET}@r1/app,mysql://app:{SECRET}@r2/app",
    )

    assert problem().startswith("DATABASE_REPLICA_URLS, number 2 must begin with postgresql://")
    assert SECRET not in problem()


def test_replicas_need_a_primary(tell):
    tell(DATABASE_REPLICA_URLS="postgresql://app:secret@r1/app")

    assert problem() == "DATABASE_REPLICA_URLS needs DATABASE_URL, the primary"


def test_an_ignored_parameter_of_a_replica_is_named(tell):
    tell(**PRODUCTION, DATABASE_REPLICA_URLS="postgresql://app:secret@r1/app?pool_size=9")

    expected = "DATABASE_REPLICA_URLS, number 1: pool_size is ignored: set DATABASE_POOL_SIZE"
    assert load_settings().warnings() == [expected]


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_MIGRATION_URL"])
def test_supabase_is_not_reached_without_tls(tell, name, mode):
    address = {"DATABASE_URL": "postgresql://a:b@db/app"}
    tell(
        DATABASE_PROVIDER="supabase", **address | {name: f"postgresql://a:b@db/app?sslmode={mode}"}
    )

    assert problem().startswith(f"{name} allows a connection without TLS")


@pytest.mark.parametrize(
    ("address", "direct"),
    [
        (
            {"DATABASE_URL": "postgresql://app.ref:a%3A6543@x.pooler.supabase.com:6543/postgres"},
            ("app.ref", "a:6543", ("x.pooler.supabase.com",), (5432,), "postgres"),
        ),
        (
            {
                "DATABASE_URL": "postgresql://app:1@db.ref.supabase.co/postgres",
                "DATABASE_POOLER": "transaction",
            },
            ("app", "1", ("db.ref.supabase.co",), (5432,), "postgres"),
        ),
        (
            {"DATABASE_HOST": "db.ref.supabase.co", "DATABASE_PORT": "6543"},
            ("postgres", None, ("db.ref.supabase.co",), (5432,), "postgres"),
        ),
        (
            {"DATABASE_HOST": "db.ref.supabase.co:6543"},
            ("postgres", None, ("db.ref.supabase.co",), (5432,), "postgres"),
        ),
        (
            {
                "DATABASE_URL": "postgresql://app:secret@db.ref.supabase.co:6543/postgres",
                "DATABASE_MIGRATION_URL": "postgresql://owner:other@db.ref.supabase.co/postgres",
            },
            ("owner", "other", ("db.ref.supabase.co",), (), "postgres"),
        ),
    ],
)
def test_supabases_pooler_and_direct_connection_are_derived_from_the_port(tell, address, direct):
    tell(DATABASE_PROVIDER="supabase", **address)

    database = load_settings().database

    assert database.is_pooled
    assert where(database.direct()) == direct
    assert database.direct().address().driver == {"sslmode": "require"}
    assert not database.direct().is_pooled


def test_migrations_behind_another_pooler_use_the_migration_url(tell):
    tell(DATABASE_URL="postgresql://app:secret@bouncer:6432/app", DATABASE_POOLER="transaction")
    with pytest.raises(SettingsError, match="DATABASE_MIGRATION_URL: must be set"):
        load_settings().database.direct()
    tell(DATABASE_MIGRATION_URL="postgresql://app:secret@db:5432/app")

    direct = load_settings().database.direct()

    assert where(direct) == ("app", "secret", ("db",), (5432,), "app")
    assert not direct.is_pooled


def test_migrations_at_supabase_with_several_hosts_use_the_migration_url(tell):
    tell(DATABASE_PROVIDER="supabase", DATABASE_URL="postgresql://app:a@db-1:6543,db-2:6543/app")

    with pytest.raises(SettingsError, match="DATABASE_MIGRATION_URL: must be set"):
        load_settings().database.direct()


@pytest.mark.parametrize("port", ["5432", "6543"])
def test_without_a_pooler_migrations_go_the_usual_way(tell, port):
    tell(DATABASE_URL=f"postgresql://app:secret@db:{port}/app")

    database = load_settings().database

    assert not database.is_pooled
    assert database.direct() == database


def test_redis_may_be_set_by_host_port_and_password(tell):
    tell(
        CACHE_REDIS_HOST="cache",
        CACHE_REDIS_PORT="6380",
        CACHE_REDIS_DB="3",
        CACHE_REDIS_PASSWORD="p@ss/",
    )

    assert load_settings().cache.dsn() == "redis://:p%40ss%2F@cache:6380/3"


@pytest.mark.parametrize(
    "url", ["redis://cache", "rediss://:secret@cache:6380/1", "unix:///run/valkey.sock?db=1"]
)
def test_a_redis_url_is_taken_as_it_is(tell, url):
    tell(LIMITER_REDIS_URL=url)

    assert load_settings().limiter.dsn() == url


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_HOST"])
def test_an_embedded_database_beside_one_that_is_named_is_refused(tell, name):
    tell(DATABASE_PROVIDER="embedded", **{name: "postgresql://app:secret@db.internal/app"})

    assert "DATABASE_PROVIDER" in problem()

"""`MAIL_URL`, `MAIL_FROM` and the other settings of mail."""

import pytest

from app.core.config import SettingsError, SmtpServer, load_settings, mailbox, smtp_server
from app.core.config.urls import UrlError

PRODUCTION = {
    "ENVIRONMENT": "production",
    "DATABASE_URL": "postgresql://app:secret@db.internal/app",
    "CACHE_ENABLED": "false",
    "LIMITER_ENABLED": "false",
    "AUTH_SECRET_KEY": "k" * 32,
    "MAIL_URL": "smtps://mail.example.com",
    "MAIL_FROM": "no-reply@example.com",
}


def server(url: str) -> tuple[str, int, str]:
    found = smtp_server(url)
    return found.host, found.port, found.encryption


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtps://mail.example.com", ("mail.example.com", 465, "tls")),
        ("smtps://mail.example.com:4650/", ("mail.example.com", 4650, "tls")),
        ("smtp://mail.example.com", ("mail.example.com", 587, "starttls")),
        ("smtp://mail.example.com:25", ("mail.example.com", 25, "starttls")),
        ("smtp://relay?starttls=off", ("relay", 25, "none")),
        ("smtp://relay:25?starttls=required", ("relay", 25, "starttls")),
        ("smtp://localhost:1025", ("localhost", 1025, "none")),
        ("smtp://127.0.0.1", ("127.0.0.1", 25, "none")),
        ("smtp://[::1]:1025", ("::1", 1025, "none")),
        ("smtp://localhost?starttls=required", ("localhost", 587, "starttls")),
        ("smtp://[fd00::1]", ("fd00::1", 587, "starttls")),
    ],
)
def test_a_mail_url_names_a_server_and_how_the_connection_is_encrypted(url, expected):
    assert server(url) == expected


def test_user_and_password_are_percent_decoded():
    found = smtp_server("smtp://ada%40example.com:p%2F%3A%40%25ss@mail.example.com")

    assert isinstance(found, SmtpServer)
    assert found.username == "ada@example.com"
    assert found.password is not None
    assert found.password.get_secret_value() == "p/:@%ss"
    assert "ss" not in repr(found.password)


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:port",
        "smtp://mail.example.com/inbox",
        "smtp://mail.example.com#part",
        "smtp://hunter2@mail.example.com",
        "smtp://:hunter2@mail.example.com",
        "smtp://ada:hunter2%ff@mail.example.com",
        "smtp://ada:hun ter2@mail.example.com",
        "smtp://ada:hunter2@mail.example.com\n",
        "smtp://mail.example.com?starttls=perhaps",
        "smtp://mail.example.com?tls=on",
        "smtp://mail.example.com?hunter2",
        "smtps://mail.example.com?starttls=required",
    ],
)
def test_a_mail_url_of_another_form_is_refused_and_not_shown(url):
    with pytest.raises(UrlError) as caught:
        smtp_server(url)

    assert "hunter2" not in str(caught.value)


def test_a_password_is_not_sent_unencrypted_through_a_network():
    with pytest.raises(UrlError, match="unencrypted"):
        smtp_server("smtp://ada:secret@relay?starttls=off")


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("no-reply@example.com", "", "no-reply@example.com"),
        (" No-Reply@Example.com ", "", "no-reply@example.com"),
        ("Acme <no-reply@example.com>", "Acme", "no-reply@example.com"),
        ('"Acme, Inc." <no-reply@example.com>', "Acme, Inc.", "no-reply@example.com"),
        ("Ácme <post@bücher.example>", "Ácme", "post@xn--bcher-kva.example"),
        ("no-reply@localhost", "", "no-reply@localhost"),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(text, name, address):
    found = mailbox(text)

    assert (found.display_name, found.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "text",
    [
        "Acme",
        "Acme <>",
        "<no-reply@example.com",
        "a@example.com, b@example.com",
        "Acme\r\nBcc: eve@example.com <no-reply@example.com>",
        "Acme <no-reply@example.com\r\nBcc: eve@example.com>",
    ],
)
def test_a_sender_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="should be an address"):
        mailbox(text)


def problem(monkeypatch: pytest.MonkeyPatch, **changed: str) -> str:
    for name, value in (PRODUCTION | changed).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    (only,) = caught.value.problems
    return only


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MAIL_URL", "smtp://ada:hunter2@relay?starttls=off", "would send the password"),
        ("MAIL_URL", "mail.example.com", "must begin with smtp://"),
        ("MAIL_FROM", "nobody", "should be an address"),
        ("MAIL_FROM", "", "must be set"),
        ("MAIL_LINK_BASE_URL", "app.example.com", "should be of the form"),
        ("MAIL_LINK_BASE_URL", "https://app.example.com/?a=b", "should be of the form"),
        ("MAIL_TEMPLATES", "/nowhere/at/all", "should be a folder"),
        ("MAIL_TIMEOUT", "0", "greater than 0"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(monkeypatch, name, value, reason):
    found = problem(monkeypatch, **{name: value})

    assert found.startswith(name)
    assert reason in found
    assert "hunter2" not in found


def test_a_misspelt_setting_of_mail_is_named(monkeypatch):
    assert problem(monkeypatch, MAIL_FORM="no-reply@example.com") == (
        "MAIL_FORM: no such setting, did you mean MAIL_FROM?"
    )


def test_production_is_warned_of_links_that_lead_to_itself(monkeypatch):
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    without = load_settings().warnings()
    monkeypatch.setenv("MAIL_LINK_BASE_URL", "https://app.example.com/")

    settings = load_settings()

    assert [line.partition(":")[0] for line in without] == ["MAIL_LINK_BASE_URL"]
    assert settings.warnings() == []
    assert settings.mail.link_base_url == "https://app.example.com"

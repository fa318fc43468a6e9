"""Mails as they are composed: one source, two forms, and headers that hold."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from app.core.config import mailbox
from app.services.mail.errors import MailRefusedError
from app.services.mail.message import compose
from app.services.mail.rendering import MailContent, MailTemplates

ID = UUID("6ad4b1f5-3a46-4e6b-8f5c-6f1a7d0c1e11")
SENDER = mailbox("Acme <no-reply@example.com>")
OWN = """{% extends layout %}
{% from parts import heading, paragraph, note, button, facts with context %}
{% block subject %}Hello {{ name }}{% endblock %}
{% block preheader %}A greeting{% endblock %}
{% block body %}
{{ heading("Hello") }}
{% call paragraph() %}Dear {{ name }}, this is a long paragraph
that the source breaks somewhere else than its text will be broken at the end.{% endcall %}
{{ button("Open", "https://app.example.com/a?b=1&c=" ~ "x" * 90) }}
{{ facts([("Device", name)]) }}
{% call note() %}A note.{% endcall %}
{% endblock %}
{% block reason %}You asked for it.{% endblock %}
"""


@pytest.fixture
def templates(tmp_path) -> MailTemplates:
    (tmp_path / "own.j2").write_text(OWN)
    return MailTemplates("Acme", "https://app.example.com", tmp_path)


def sent(content: MailContent, recipient: str = "ada@example.com") -> EmailMessage:
    """The message as a mailbox reads it."""
    composed = compose(content, ID, SENDER, recipient)
    message: EmailMessage = message_from_bytes(composed.as_bytes(policy=SMTP), policy=SMTP)
    return message


def parts(message: EmailMessage) -> tuple[str, str]:
    text, html = message.iter_parts()
    return text.get_content(), html.get_content()


def test_a_mail_has_its_content_as_text_and_as_html(templates):
    text, html = parts(sent(templates.render("own", name="Ada")))

    assert "Dear Ada, this is a long paragraph that the source breaks somewhere else" in text
    assert "<" not in text
    assert "Dear Ada" in html
    assert html.startswith("<!doctype html>")


def test_a_link_stays_in_one_piece_in_the_text(templates):
    text, html = parts(sent(templates.render("own", name="Ada")))

    link = "https://app.example.com/a?b=1&c=" + "x" * 90
    assert f"Open:\r\n{link}\r\n" in text or f"Open:\n{link}\n" in text
    assert link.replace("&", "&amp;") in html


def test_what_users_typed_is_no_markup(templates):
    name = "<script>alert(1)</script>{{ 7 * 7 }}"

    text, html = parts(sent(templates.render("own", name=name)))

    assert name in " ".join(text.split())
    assert "<script>" not in html
    assert "{{ 7 * 7 }}" in html


def test_the_html_needs_nothing_from_elsewhere_and_has_both_themes(templates):
    html = templates.render("own", name="Ada").html

    assert "prefers-color-scheme: dark" in html
    assert 'name="color-scheme" content="light dark"' in html
    assert not any(word in html for word in ("<img", "<link", "<script", "url(", "@import"))


def test_the_headers_say_who_sent_it_to_whom_and_that_a_program_did(templates):
    message = sent(templates.render("own", name="Ada"))

    assert message["From"] == "Acme <no-reply@example.com>"
    assert message["To"] == "ada@example.com"
    assert message["Subject"] == "Hello Ada"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"


def test_the_message_id_is_the_same_at_every_attempt(templates):
    content = templates.render("own", name="Ada")

    assert sent(content)["Message-ID"] == sent(content)["Message-ID"] == f"<{ID}@example.com>"


@pytest.mark.parametrize("ending", ["\r\nBcc: eve@example.com", "\nX: y", "\x00", "\x0b", "\u2028"])
def test_no_name_begins_another_header(templates, ending):
    with pytest.raises(MailRefusedError, match="control character"):
        compose(templates.render("own", name=f"Ada{ending}z"), ID, SENDER, "ada@example.com")


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "ada",
        "ada@",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com, eve@example.com",
    ],
)
def test_only_one_email_address_is_a_recipient(templates, recipient):
    with pytest.raises(MailRefusedError) as caught:
        compose(templates.render("own", name="Ada"), ID, SENDER, recipient)

    assert "ada" not in str(caught.value)


def test_a_long_subject_in_any_script_arrives_whole(templates):
    name = "Ада Лавлейс 爱达 👩‍💻 " * 20

    assert sent(templates.render("own", name=name))["Subject"] == f"Hello {name.strip()}"


def test_the_domain_of_a_recipient_is_sent_in_ascii(templates):
    message = sent(templates.render("own", name="Ada"), "ada@bücher.example")

    assert message["To"] == "ada@xn--bcher-kva.example"


def test_a_template_of_ones_own_replaces_the_built_in_one(tmp_path):
    (tmp_path / "test-mail.j2").write_text(OWN)

    content = MailTemplates("Acme", "https://a.example", tmp_path).render("test-mail", name="Ada")

    assert content.subject == "Hello Ada"


def test_a_template_that_lacks_a_value_is_an_error_and_no_mail_with_a_gap(templates):
    with pytest.raises(UndefinedError):
        templates.render("own")
    with pytest.raises(TemplateNotFound):
        templates.render("other")

"""Email templates: one text for both parts, and injection through values."""

import html
import re
import sys
from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from app.core import openapi
from app.mail import template as module
from app.mail.message import UnusableAddress, compose
from app.mail.settings import sender_address
from app.mail.template import EXAMPLE_LINK, EmailTemplate, templates
from tests.conftest import IsolateRegistry

TITLE = openapi.api_metadata()["title"]
VISIBLE_TITLE = " ".join(TITLE.split())  # as `visible_text` returns it
SENDER = sender_address("no-reply@example.com")
MALICIOUS_VALUE = (
    'Ada\r\nBcc: eve@example.com\n\nhttps://evil.example/\n\n<img src="https://evil.example/"> {{ link }} \u2028 🚀'
)


@pytest.fixture
def template_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolate_registry: IsolateRegistry) -> Path:
    """The template folder of a new module."""
    folder = tmp_path / "shop" / "templates"
    folder.mkdir(parents=True)
    (tmp_path / "shop/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    module._texts.cache_clear()
    module._pages.cache_clear()
    isolate_registry("app.mail.template.templates")
    return folder


def create_template(folder: Path, name: str, text: str) -> EmailTemplate:
    (folder / name).write_text(text, encoding="utf-8")
    return EmailTemplate("shop.emails", Path(name).stem)


def visible_text(page: str) -> str:
    """The visible text of an HTML page."""
    body = page[page.index("<body") :]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_template_is_rendered(template_folder: Path) -> None:
    email = create_template(
        template_folder,
        "order.txt",
        "Subject: Your order of {{ what }}\r\n\r\nHello {{ name }},\r\n\nit is on its\nway.\n\n",
    ).render("ada@example.com", name="Zoë & Co.", what="tea")

    assert (email.to, email.subject) == ("ada@example.com", f"{TITLE}: Your order of tea")
    assert email.text == f"Hello Zoë & Co.,\n\nit is on its\nway.\n\n-- \n{TITLE}\n"
    assert visible_text(email.html) == f"Hello Zoë & Co., it is on its way. {VISIBLE_TITLE}"
    assert "Zoë &amp; Co." in email.html


def test_link_on_separate_line_becomes_button(template_folder: Path) -> None:
    link = "https://app.example.com/?a=1&b=2#token=x"
    email = create_template(
        template_folder, "link.txt", "Subject: Go on\n\nGo on here:\n{{ link }}\nor on {{ link }} itself."
    ).render("ada@example.com", link=link)

    assert link in email.text.splitlines()
    assert email.html.count(f'href="{html.escape(link)}"') == 2
    assert visible_text(email.html) == f"Go on here: Go on {link} or on {link} itself. {VISIBLE_TITLE}"


def test_email_can_have_separate_html(template_folder: Path) -> None:
    (template_folder / "news.html").write_text(
        '{% extends "layout.html" %}{% block content %}<b>{{ name }}</b>{% endblock %}'
    )
    email = create_template(template_folder, "news.txt", "Subject: News\n\nHello {{ name }}").render(
        "ada@example.com", name="<Ada>"
    )

    assert "<b>&lt;Ada&gt;</b>" in email.html
    assert email.html.startswith("<!doctype html>")
    assert email.text.startswith("Hello <Ada>\n")


def test_template_errors_are_explained(template_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"shop: the first line of templates/bare\.txt must be 'Subject: …'"):
        create_template(template_folder, "bare.txt", "Hello").render("ada@example.com")
    with pytest.raises(UndefinedError, match="'nmae' is undefined"):
        create_template(template_folder, "wrong.txt", "Subject: Hello\n\n{{ nmae }}").render(
            "ada@example.com", name="Ada"
        )
    with pytest.raises(TemplateNotFound, match=r"none\.txt"):
        EmailTemplate("shop.emails", "none").render("ada@example.com")
    with pytest.raises(UnusableAddress):
        create_template(template_folder, "right.txt", "Subject: Hello\n\nHello").render("ada")


@pytest.mark.parametrize("key", sorted(templates))
def test_text_and_html_have_same_content(key: str) -> None:
    email = templates[key].example()
    subject = email.subject.removeprefix(f"{TITLE}: ")
    text = " ".join(email.text.replace("\n\n-- \n", "\n").replace(EXAMPLE_LINK, f"{subject} {EXAMPLE_LINK}").split())

    assert visible_text(email.html) == text
    assert "<img" not in email.html
    assert max(map(len, compose(email, SENDER).as_bytes().splitlines())) <= 78


@pytest.mark.parametrize("key", sorted(templates))
def test_values_cannot_inject_headers_links_or_html(key: str) -> None:
    template = templates[key]
    email = template.render(
        "ada@example.com", **{name: MALICIOUS_VALUE for name in template.values if name != "link"}, link=EXAMPLE_LINK
    )
    message = compose(email, SENDER)

    assert message["Bcc"] is None
    assert set(re.findall(r'href="([^"]*)"', email.html)) <= {EXAMPLE_LINK}
    assert "<img" not in email.html
    assert [line for line in email.text.splitlines() if line.startswith(("Bcc", "https://evil"))] == []


def test_every_text_file_has_a_template(project: Path) -> None:
    texts = {f"{path.parents[1].name}/{path.stem}" for path in project.glob("app/modules/*/templates/*.txt")}
    assert texts <= templates.keys()

"""The email preview, which exists in development only."""

from collections.abc import AsyncGenerator, Generator
from html import unescape

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core import middlewares
from app.core.config import Environment, Settings
from app.mail.message import Email, compose
from app.mail.preview import POLICY, add_preview_page
from app.mail.settings import MailSettings, sender_address
from app.mail.template import templates
from app.mail.terminal import TERMINAL_HINT, print_email, printed_emails

SENDER = sender_address("no-reply@localhost")


@pytest.fixture(autouse=True)
def _clear_printed_emails() -> Generator[None]:
    printed_emails.clear()
    yield
    printed_emails.clear()


@pytest.fixture
async def development_client() -> AsyncGenerator[AsyncClient]:
    """A client of an application in development."""
    app = FastAPI(middleware=middlewares.build_middleware(Settings(env=Environment.DEV)))
    add_preview_page(app, MailSettings(env=Environment.DEV))
    assert app.openapi()["paths"] == {}
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_every_email_is_shown_as_html_and_text(development_client: AsyncClient) -> None:
    page = unescape((await development_client.get("/dev/emails")).text)

    assert templates
    for template in templates.values():
        example = template.example()
        assert example.subject in page
        assert example.text.strip() in page
        assert example.html.strip().replace("<head>", '<head><base target="_blank">') in page


async def test_sent_emails_are_shown_and_escaped(
    development_client: AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = (await development_client.get("/dev/emails")).text
    for email in (
        Email("ada@example.com", "<First>", "1 < 2", "<head></head><p>One</p>"),
        Email("bob@example.com", "Second", "2"),
    ):
        await print_email(compose(email, SENDER))
    page = (await development_client.get("/dev/emails")).text

    assert "None yet" in empty
    assert TERMINAL_HINT in page
    assert page.index("<strong>Second") < page.index("<strong>&lt;First&gt;"), "the latest first"
    assert "<pre>1 &lt; 2</pre>" in page
    assert "&lt;p&gt;One&lt;/p&gt;" in page
    assert "<p>One</p>" not in page


async def test_preview_forbids_scripts_and_other_pages_keep_strict_policy(development_client: AsyncClient) -> None:
    page, other = [await development_client.get(path) for path in ("/dev/emails", "/other")]

    assert page.headers["content-security-policy"] == POLICY
    assert "script-src" not in POLICY
    assert other.headers["content-security-policy"] == middlewares.SECURITY_HEADERS["Content-Security-Policy"]
    assert page.headers["x-frame-options"] == other.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("env", [Environment.TEST, Environment.PROD])
async def test_preview_exists_in_development_only(env: Environment) -> None:
    settings = MailSettings(env=env, host="smtp.example.com", sender="no-reply@example.com")
    app = FastAPI()
    add_preview_page(app, settings)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/dev/emails")).status_code == 404

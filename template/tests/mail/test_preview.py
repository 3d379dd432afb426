"""The email preview, which exists in development only."""

from collections.abc import AsyncGenerator, Generator

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from app.core import exception_handlers, middlewares
from app.core.config import Environment, Settings
from app.core.runtime import Runtime, runtime_of
from app.mail.message import Mail, compose
from app.mail.preview import POLICY, attach
from app.mail.settings import MailSettings, sender_address
from app.mail.template import templates
from app.mail.terminal import print_email, printed_emails

SENDER = sender_address("no-reply@localhost")


@pytest.fixture(autouse=True)
def _nothing_sent() -> Generator[None]:
    printed_emails.clear()
    yield
    printed_emails.clear()


@pytest.fixture
async def developer() -> AsyncGenerator[AsyncClient]:
    """A client of an application in development."""
    app = FastAPI(
        middleware=middlewares.build_middleware(Settings(env=Environment.DEV)),
        exception_handlers=exception_handlers.HANDLERS,
    )
    app.state.runtime = Runtime(Settings(env=Environment.DEV))
    attach(app, runtime_of(app), MailSettings(env=Environment.DEV))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_every_email_is_shown_as_html_and_text(developer: AsyncClient) -> None:
    everything = (await developer.get("/dev/mails")).text
    assert templates
    for key, template in templates.items():
        example = template.example()
        page = await developer.get(f"/dev/mails/{key}")
        alone = await developer.get(f"/dev/mails/{key}.html")

        assert f'href="/dev/mails/{key}"' in everything
        assert f'src="/dev/mails/{key}.html"' in page.text
        assert "no-reply@localhost" in page.text
        assert example.text.split()[0] in page.text
        assert alone.text.replace('<base target="_blank">', "").split() == example.html.split()
        assert alone.text != example.html


async def test_sent_emails_are_shown(developer: AsyncClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert "None yet" in (await developer.get("/dev/mails")).text
    sent = [
        Mail("ada@example.com", "<First>", "1 < 2", "<head></head><p>One</p>"),
        Mail("bob@example.com", "Second", "2"),
    ]
    for mail in sent:
        await print_email(compose(mail, SENDER))
    listed = (await developer.get("/dev/mails")).text
    second, first = (
        f"/dev/mails/sent/{''.join(filter(str.isalnum, message['Message-ID']))}" for message in printed_emails
    )

    assert listed.index(second) < listed.index(first)
    assert "&lt;First&gt;" in listed
    assert "<First>" not in listed
    assert "<pre>1 &lt; 2</pre>" in (await developer.get(first)).text
    assert "<p>One</p>" in (await developer.get(f"{first}.html")).text
    assert "iframe src" not in (await developer.get(second)).text


async def test_preview_forbids_scripts_and_other_pages_keep_strict_policy(developer: AsyncClient) -> None:
    page, missing, other = [await developer.get(path) for path in ("/dev/mails", "/dev/mails/no/mail", "/other")]

    assert page.headers["content-security-policy"] == missing.headers["content-security-policy"] == POLICY
    assert "script-src" not in POLICY
    assert page.headers["x-frame-options"] == "SAMEORIGIN"
    assert other.headers["content-security-policy"] == middlewares.SECURITY_HEADERS["Content-Security-Policy"]
    assert other.headers["x-frame-options"] == "DENY"
    assert (missing.status_code, missing.json()["code"]) == (404, "mail_not_found")


@pytest.mark.parametrize("env", [Environment.TEST, Environment.PROD])
async def test_preview_exists_in_development_only(env: Environment) -> None:
    settings = MailSettings(env=env, host="smtp.example.com", sender="no-reply@example.com")
    app = FastAPI()
    attach(app, Runtime(Settings(env=env)), settings)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/dev/mails")).status_code == 404


async def test_preview_is_not_in_openapi(client: AsyncClient) -> None:
    app = FastAPI()
    attach(app, Runtime(Settings(env=Environment.DEV)), MailSettings(env=Environment.DEV))

    assert (await client.get("/dev/mails")).status_code == 404
    assert app.openapi()["paths"] == {}

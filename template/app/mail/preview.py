"""Email preview, in development only: `/dev/mails` shows examples of all emails, and those sent."""

from collections.abc import Iterator
from email.message import EmailMessage
from functools import cache

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.config import Environment as Where
from app.core.exceptions import NotFoundError
from app.core.runtime import Runtime, runtime_of
from app.mail.message import Mail, compose, html_of, text_of
from app.mail.settings import MailSettings, sender_address
from app.mail.template import templates
from app.mail.terminal import printed_emails

PATH = "/dev/mails"

# These pages use inline styles, and show the HTML of an email in a frame. Scripts are still forbidden.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; frame-src 'self'; frame-ancestors 'self'"

router = APIRouter(prefix=PATH, include_in_schema=False, default_response_class=HTMLResponse)


class MailNotFound(NotFoundError):
    """There is no email with this name, or it has been dropped because newer ones were sent."""

    message = "Email not found."


def attach(app: FastAPI, runtime: Runtime, settings: MailSettings) -> None:
    """Add the pages in development only, because emails contain secret links."""
    if settings.env is Where.DEV:
        runtime[MailSettings] = settings
        app.include_router(router)
        app.add_middleware(_Policy)


class _Policy:
    """Middleware with a weaker policy for the preview pages; it wraps the one that sets the strict policy."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({"Content-Security-Policy": POLICY, "X-Frame-Options": "SAMEORIGIN"})
            await send(message)

        ours = scope["type"] == "http" and scope["path"].startswith(PATH)
        await self.app(scope, receive, send_with_policy if ours else send)


@router.get("")
async def list_mails(request: Request) -> str:
    """List examples of all emails, and those sent by this process."""
    examples = {key: _compose(template.example(), request) for key, template in sorted(templates.items())}
    return _page("mails.html", examples=examples, sent=dict(_sent()))


@router.get("/{folder}/{name}.html")
async def show_html(folder: str, name: str, request: Request) -> str:
    """Show the HTML part of an email."""
    html = html_of(_find(folder, name, request))
    return html.replace("<head>", '<head><base target="_blank">', 1)  # links open outside of the frame


@router.get("/{folder}/{name}")
async def show_mail(folder: str, name: str, request: Request) -> str:
    """Show an email with its headers, as HTML and as plain text."""
    message = _find(folder, name, request)
    return _page("mail.html", key=f"{folder}/{name}", mail=message, text=text_of(message), html=html_of(message))


def _find(folder: str, name: str, request: Request) -> EmailMessage:
    key = f"{folder}/{name}"
    if message := dict(_sent()).get(key):
        return message
    if template := templates.get(key):
        return _compose(template.example(), request)
    raise MailNotFound


def _compose(mail: Mail, request: Request) -> EmailMessage:
    return compose(mail, sender_address(runtime_of(request)[MailSettings].sender))


def _sent() -> Iterator[tuple[str, EmailMessage]]:
    """Name the sent emails by the letters and digits of their Message-ID, for use in URLs."""
    for message in printed_emails:
        yield "sent/" + "".join(filter(str.isalnum, message["Message-ID"])), message


@cache
def _pages() -> Environment:
    return Environment(loader=PackageLoader("app.mail"), undefined=StrictUndefined, autoescape=True)


def _page(template: str, **values: object) -> str:
    return _pages().get_template(f"preview/{template}").render(values, path=PATH)

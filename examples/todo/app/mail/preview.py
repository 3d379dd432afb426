"""Email preview, in development only: `/dev/emails` shows the emails of this process, and examples of all emails."""

from email.message import EmailMessage

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.core.config import Environment as AppEnvironment
from app.mail.message import compose, html_of, text_of
from app.mail.settings import MailSettings, sender_address
from app.mail.template import templates
from app.mail.terminal import TERMINAL_HINT, printed_emails

PATH = "/dev/emails"

# The page and the emails, which it shows in frames, use inline styles. Scripts are still forbidden.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; frame-ancestors 'none'"


def add_preview_page(app: FastAPI, settings: MailSettings) -> None:
    """Add the page in development only, because emails contain secret links."""
    if settings.env is not AppEnvironment.DEV:
        return
    sender = sender_address(settings.sender)
    page = Environment(loader=PackageLoader("app.mail"), undefined=StrictUndefined, autoescape=True)

    @app.get(PATH, include_in_schema=False)
    async def list_emails() -> HTMLResponse:
        """Show all emails, each as HTML and as plain text."""
        examples = [compose(template.example(), sender) for _, template in sorted(templates.items())]
        html = page.get_template("preview.html").render(
            sent=list(map(_parts, printed_emails)), examples=list(map(_parts, examples)), hint=TERMINAL_HINT
        )
        return HTMLResponse(html, headers={"Content-Security-Policy": POLICY})


def _parts(message: EmailMessage) -> tuple[EmailMessage, str, str]:
    """Return a message, its plain text, and its HTML, with links that open outside of the frame."""
    return message, text_of(message), html_of(message).replace("<head>", '<head><base target="_blank">', 1)

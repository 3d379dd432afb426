"""Email templates: one text per email, and a common layout that renders it as HTML.

The texts are in `templates/`, next to a module's `emails.py`. The first line is the subject. The plain-text and HTML
parts are rendered from the same text. To use separate HTML for an email, add NAME.html next to NAME.txt.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from app.core import openapi
from app.mail.message import LINE_BREAKS, Email

SUBJECT = re.compile(r"Subject: (?P<subject>.+)\n(?P<text>(?:.|\n)*)")
LINK = re.compile(r"^[ \t]*(https?://\S+)[ \t]*$", re.MULTILINE)  # on a separate line
BLANK_LINES = re.compile(r"\n\s*\n")
EXAMPLE_LINK = "https://app.example.com/page#token=an-example-of-a-token-that-opens-nothing"
EXAMPLE_ADDRESS = "ada@example.com"

templates: dict[str, "EmailTemplate"] = {}


class EmailTemplate:
    """The template of an email."""

    def __init__(self, module: str, name: str, /, **example: Any) -> None:
        """Register `templates/NAME.txt` in the package of a module.

        Args:
            module: The `__name__` of the module.
            name: File name without extension.
            example: Example values for the preview on `/dev/emails` and for tests.
        """
        self.package = module.rpartition(".")[0]
        self.name = name
        self.key = f"{self.package.rpartition('.')[2]}/{name}"
        self.values = example
        templates[self.key] = self

    def render(self, to: str, /, **values: Any) -> Email:
        """Render the email for a recipient.

        Raises:
            UnusableAddress: If `to` is not exactly one supported email address.
            UndefinedError: If a value used in the template is missing.
            ValueError: If the template does not start with a subject.
        """
        service = openapi.api_metadata()["title"]
        found = SUBJECT.fullmatch(_texts(self.package).get_template(f"{self.name}.txt").render(values, service=service))
        if found is None:
            raise ValueError(f"{self.package}: the first line of templates/{self.name}.txt must be 'Subject: …'.")
        subject, text = found["subject"].strip(), found["text"].strip()
        html = _pages(self.package).select_template([f"{self.name}.html", "layout.html"])
        return Email(
            to,
            f"{service}: {subject}",
            f"{text}\n\n-- \n{service}\n",
            html.render(values, service=service, subject=subject, parts=list(_parts(text))),
        )

    def example(self) -> Email:
        """Render the email with its example values."""
        return self.render(EXAMPLE_ADDRESS, **self.values)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Split a text into paragraphs and links for the layout."""
    for number, between in enumerate(LINK.split(text)):
        if number % 2:
            yield "link", between
        else:
            yield from (("paragraph", words) for words in BLANK_LINES.split(between) if words.strip())


def _one_line(value: Any) -> Any:
    """Remove line breaks from values: they could add headers to the subject, or links, which are shown as buttons."""
    return LINE_BREAKS.sub(" ", value) if isinstance(value, str) else value


@cache
def _texts(package: str) -> Environment:
    loader = PackageLoader(package)
    return Environment(loader=loader, undefined=StrictUndefined, finalize=_one_line, autoescape=False)  # noqa: S701 - text


@cache
def _pages(package: str) -> Environment:
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("app.mail")])
    return Environment(loader=loader, undefined=StrictUndefined, autoescape=True)

"""How mails are written: a text for each, and one layout that makes HTML of it.

The texts are in `templates/` beside a module's `mails.py`. The first line is the subject.
Both parts of a mail come from the same text, so that they say the same; with a NAME.html
beside NAME.txt a mail has a look of its own.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from app.core import openapi
from app.mail.message import LINE_BREAKS, Mail

SUBJECT = re.compile(r"Subject: (?P<subject>.+)\n(?P<text>(?:.|\n)*)")
LINK = re.compile(r"^[ \t]*(https?://\S+)[ \t]*$", re.MULTILINE)  # alone on its line
BLANK_LINES = re.compile(r"\n\s*\n")
EXAMPLE_LINK = "https://app.example.com/page#token=an-example-of-a-token-that-opens-nothing"
EXAMPLE_ADDRESS = "ada@example.com"

known: dict[str, "MailTemplate"] = {}


class MailTemplate:
    """What one kind of mail says, whoever it is for."""

    def __init__(self, module: str, name: str, /, **example: Any) -> None:
        """Take `templates/NAME.txt` beside a module.

        Args:
            module: The `__name__` of the module.
            name: The name of the file.
            example: Values to show the mail with on `/dev/mails`, and to test it with.
        """
        self.package = module.rpartition(".")[0]
        self.name = name
        self.key = f"{self.package.rpartition('.')[2]}/{name}"
        self.values = example
        known[self.key] = self

    def mail(self, to: str, /, **values: Any) -> Mail:
        """Write it to somebody.

        Raises:
            UnusableAddress: If `to` is not one address.
            UndefinedError: If the template names a value that is not given.
            ValueError: If it does not begin with a subject.
        """
        service = openapi.about()["title"]
        found = SUBJECT.fullmatch(_texts(self.package).get_template(f"{self.name}.txt").render(values, service=service))
        if found is None:
            raise ValueError(f"{self.package}: the first line of templates/{self.name}.txt must be 'Subject: …'.")
        subject, text = found["subject"].strip(), found["text"].strip()
        html = _pages(self.package).select_template([f"{self.name}.html", "layout.html"])
        return Mail(
            to,
            f"{service}: {subject}",
            f"{text}\n\n-- \n{service}\n",
            html.render(values, service=service, subject=subject, parts=list(_parts(text))),
        )

    def example(self) -> Mail:
        """Write it to nobody, to look at."""
        return self.mail(EXAMPLE_ADDRESS, **self.values)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Find what the layout shows: paragraphs and links."""
    for number, between in enumerate(LINK.split(text)):
        if number % 2:
            yield "link", between
        else:
            yield from (("paragraph", words) for words in BLANK_LINES.split(between) if words.strip())


def _one_line(value: Any) -> Any:
    """Let no value begin another line: the subject is one, and a link alone on a line becomes a button."""
    return LINE_BREAKS.sub(" ", value) if isinstance(value, str) else value


@cache
def _texts(package: str) -> Environment:
    loader = PackageLoader(package)
    return Environment(loader=loader, undefined=StrictUndefined, finalize=_one_line, autoescape=False)  # noqa: S701 - text


@cache
def _pages(package: str) -> Environment:
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("app.mail")])
    return Environment(loader=loader, undefined=StrictUndefined, autoescape=True)

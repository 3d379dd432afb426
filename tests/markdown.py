"""Parse code blocks and sections of Markdown, so that tests can execute them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?P<info>.*)\n(?P<body>(?:.*\n)*?)(?P=indent)```$", re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    title: str  # the file it belongs to, or empty
    marker: str  # from a comment `<!-- test: marker -->` on the line above
    body: str

    def commands(self) -> list[str]:
        """Return the commands of a console block without prompts and comments."""
        lines = (re.sub(r"^\$ | +#.*$|^#.*$", "", line) for line in self.body.splitlines())
        return [line for line in lines if line.strip()]


def blocks(markdown: str) -> Iterator[Block]:
    """Yield the fenced code blocks of a text."""
    for found in BLOCK.finditer(markdown):
        above = markdown[: found.start()].rstrip().rpartition("\n")[2]
        marker = re.fullmatch(r"\s*<!-- test: (\w+) -->", above)
        title = re.search(r'title="([^"]+)"', found["info"])
        body = re.sub(rf"^{found['indent']}", "", found["body"], flags=re.MULTILINE)
        yield Block(found["language"], title[1] if title else "", marker[1] if marker else "", body)


def section(markdown: str, heading: str) -> str:
    """Return a section with its subsections.

    Raises:
        ValueError: If there is no such heading.
    """
    level = heading.partition(" ")[0]
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", markdown, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"no heading {heading!r}")
    return found[1]

"""Write the documentation of the questions from copier.yml: `just questions`."""

from pathlib import Path

import typer

from tests.questionnaire import Question, choices, questions, resolve
from tests.rendering import ROOT

BEGIN = "<!-- questions:begin -->"
END = "<!-- questions:end -->"


def table() -> str:
    """Return a table of the questions for the README."""
    rows = [f"| `{question.name}` | {_answers(question)} | {_what(question)} |" for question in questions()]
    return "\n".join(["| question | answers (default first) | |", "|---|---|---|", *rows])


def reference() -> str:
    """Return a section for each question."""
    return "\n\n".join(map(_section, questions()))


PAGES = {ROOT / "README.md": table, ROOT / "docs/reference/questions.md": reference}


def updated_page(page: Path) -> str:
    """Return a page with the current text between its markers.

    Raises:
        ValueError: If a marker is missing.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} needs the lines {BEGIN} and {END}")
    return f"{before}{begin}\n\n{PAGES[page]()}\n\n{end}{after}"


def _answers(question: Question) -> str:
    default = resolve({})[question.name]
    return " · ".join(map(_code, sorted(question.choices, key=lambda choice: choice != default))) or _code(default)


def _what(question: Question) -> str:
    """Return the question without its explanation."""
    return question.help[: question.help.index("?") + 1]


def _section(question: Question) -> str:
    items = [f"- Default: {_default(question)}"]
    if question.choices:
        items.insert(0, f"- Answers: {', '.join(_choices(question))}")
    return "\n".join([f"## `{question.name}`", "", question.help, "", *items])


def _choices(question: Question) -> list[str]:
    pairs = zip(question.choices, question.labels, strict=True)
    return [_code(value) + ("" if label in {str(value), "yes", "no"} else f" ({label})") for value, label in pairs]


def _default(question: Question) -> str:
    """Return the default answer, and different defaults of presets."""
    defaults = {preset: resolve({"preset": preset})[question.name] for preset in choices()["preset"]}
    default = resolve({})[question.name]
    others = [f"{_code(value)} with `preset: {preset}`" for preset, value in defaults.items() if value != default]
    if question.name == "preset":
        others = []
    elif "{{" in str(question.default) and not others:
        others = ["derived from earlier answers"]
    return ", ".join([_code(default), *others])


def _code(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def write() -> None:
    """Update every page that documents the questions."""
    for page in PAGES:
        page.write_text(updated_page(page), encoding="utf-8")
        typer.echo(f"written: {page.relative_to(ROOT)}")


if __name__ == "__main__":
    typer.run(write)

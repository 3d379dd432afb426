"""What the documentation says about the questions, written from copier.yml: `just questions`."""

from pathlib import Path

import typer

from tests.questionnaire import Question, choices, questions, resolve
from tests.rendering import ROOT

BEGIN = "<!-- questions:begin -->"
END = "<!-- questions:end -->"


def table() -> str:
    """Return one line for each question, for the README."""
    rows = [f"| `{question.name}` | {_answers(question)} | {_what(question)} |" for question in questions()]
    return "\n".join(["| question | answers (default first) | |", "|---|---|---|", *rows])


def reference() -> str:
    """Return one section for each question."""
    return "\n\n".join(map(_section, questions()))


PAGES = {ROOT / "README.md": table, ROOT / "docs/reference/questions.md": reference}


def renewed(page: Path) -> str:
    """Return a page with what is written today between its two markers.

    Raises:
        ValueError: If the page lacks them.
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
    """Return the question itself, without the explanation that follows it."""
    return question.help[: question.help.index("?") + 1]


def _section(question: Question) -> str:
    facts = [f"- Default: {_default(question)}"]
    if question.choices:
        facts.insert(0, f"- Answers: {', '.join(_choices(question))}")
    return "\n".join([f"## `{question.name}`", "", question.help, "", *facts])


def _choices(question: Question) -> list[str]:
    pairs = zip(question.choices, question.labels, strict=True)
    return [_code(value) + ("" if label in {str(value), "yes", "no"} else f" ({label})") for value, label in pairs]


def _default(question: Question) -> str:
    """Say what is offered, and where a preset offers something else."""
    offered = {preset: resolve({"preset": preset})[question.name] for preset in choices()["preset"]}
    plain = resolve({})[question.name]
    others = [f"{_code(value)} with `preset: {preset}`" for preset, value in offered.items() if value != plain]
    if question.name == "preset":
        others = []
    elif "{{" in str(question.default) and not others:
        others = ["derived from earlier answers"]
    return ", ".join([_code(plain), *others])


def _code(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def write() -> None:
    """Renew every page that speaks of the questions."""
    for page in PAGES:
        page.write_text(renewed(page), encoding="utf-8")
        typer.echo(f"written: {page.relative_to(ROOT)}")


if __name__ == "__main__":
    typer.run(write)

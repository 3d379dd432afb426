"""Plain English: texts for users avoid the words and phrases listed here.

The list is a safety net, not a style guide. Exceptions need a reason.
"""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from functools import cache

import pytest

from tests.rendering import ROOT

AVOID = {
    r"\b(some|no|every|any)body\b|\bwhoever\b|\bpeople\b": "you, the client, users",
    r"\bone (can|could|reads|sees|types|must|may|wants)\b|\bone's\b": "you, your",
    r"\bwho asks\b|\bwhat (waits|goes|comes|is there|is new)\b": "a noun: the caller, pending jobs",
    r"\bstands?\b(?! for\b)|\bstood\b": "is, is listed, appears",
    r"\bbr(ings?|ought)\b": "includes, adds",
    r"(?<!can )\btells?\b|\btold\b": "reports, returns, shows",
    r"\bcarr(y|ies|ied)\b": "contains, moves",
    r"\bmend(s|ed)?\b|\bput(ting)? right\b": "fix",
    r"\bshall\b": "must, should, will",
    r"\banew\b|\bonce more\b": "again",
    r"\bat once\b": "immediately, concurrently",
    r"\bbeside\b|\bmeanwhile\b": "next to, in the meantime",
    r"\bof (its|their|your|our|a|one's) own\b": "its own …, a separate …",
    r"\b(by|of) (itself|themselves)\b(?! or)": "automatically, by default",
    r"\bgo(es)? on\b|\bgoing on\b|\bwent on\b": "continues, keeps",
    r"\b(is|are|be|was|were) away\b": "unavailable",
    r"\bno longer good\b|\bis good for\b": "expired, valid for",
    r"\bmoments?\b": "timestamp, instant",
    r"(?<![-/.|(])\bmails?\b(?! server)(?!:|[-/]|\.\w)": "email",
    r"\b(a|the|each|every|this|its) letter\b(?! of)": "deferred email",
    r"\bfront doors?\b|\bfloors?\b": "entry point, layer",
    r"\b(take|takes|taking|took|taken) (it |that )?back\b": "roll back, undo, revoke",
    r"\b(open|close)s? (an|the) account\b": "create, delete an account",
    r"\banswer(s|ed)? (with )?`?[1-5]\d\d\b": "responds with",
    r"\bfor good\b": "permanently",
    r"\bspeaks? (by|of)\b|\blooks? into\b|\bhave its way\b|\bmanners\b": "the technical term",
    r"\b(learnt|misspelt|behaviour|licence|colour|artefact|catalogue|(organ|recogn|initial)is(e|ation))": "American spelling",
}
"""Regular expressions, and what to write instead."""

ALLOWED = {
    "copier.yml": {
        "starting with a letter": "a letter of the alphabet",
    },
    "template/app/features.py.jinja": {
        "Features of your own:": "owners add lines below it, so it has not changed since version 0.1.0",
    },
    "template/app/mail/__init__.py.jinja": {
        '"Email"': "a class",
    },
    "template/.github/workflows/ci.yml": {
        "python: floor": "a value of the test matrix",
    },
}
"""By file: phrases that contain a listed word, and why they are right."""

NOT_OURS = ("examples/*/*", "template/LICENSE.jinja", "tests/test_words.py")
"""Rendered from the template, a standard text, or this list of words."""


def markdown(text: str) -> str:
    """Remove code and link targets from a page."""
    return re.sub(r"^( *)```.*?^\1```$|`[^`\n]*`|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL)


def plain(text: str) -> str:
    """Remove paths from a configuration file."""
    return re.sub(r"[\w.-]*/[\w./-]+", "", text)


def python(text: str) -> str:
    """Return comments and strings: docstrings, messages, log events."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join(token.string for token in tokens if token.type in kinds)


def python_tests(text: str) -> str:
    """Return comments, docstrings, messages, help texts and names of tests; other strings may quote something."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [token.string for token in tokens if token.type == tokenize.COMMENT]
    for node in ast.walk(ast.parse(re.sub(r"\{\{ .*? \}\}", "name", text))):
        match node:
            case ast.Expr(value=ast.Constant(value=str(docstring))):
                found.append(docstring)
            case ast.Assert(msg=ast.AST() as message) | ast.Raise(exc=ast.AST() as message):
                found += _strings(message)
            case ast.keyword(arg="help" | "description", value=message):
                found += _strings(message)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                found.append(name.replace("_", " "))
    return "\n".join(found)


def _strings(node: ast.AST) -> list[str]:
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


READERS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("tests/*.py", "template/tests/*.py", "template/tests/*.py.jinja"), python_tests),
    **dict.fromkeys(("*.py", "*.py.jinja"), python),
    **dict.fromkeys(("*.md", "*.md.jinja"), markdown),
    **dict.fromkeys(("*.yml", "*.yaml", "*.toml", "*.json", "*.jinja", "*.just", "justfile", "*.sh", ".ci/run"), plain),
}
"""How to extract the prose of a file. The first matching pattern applies."""


@cache
def prose() -> dict[str, str]:
    """Return the texts to check, by file."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    checked = {name for name in filter(None, listed) if not any(fnmatch(name, each) for each in NOT_OURS)}
    readers = {name: next((READERS[each] for each in READERS if fnmatch(name, each)), None) for name in checked}
    return {
        name: read((ROOT / name).read_text(encoding="utf-8"))
        for name, read in sorted(readers.items())
        if read and (ROOT / name).is_file()
    }


def found(text: str) -> Iterator[str]:
    """Yield each phrase to avoid, with the words to use instead."""
    text = re.sub(r"\n *#? *", " ", text)  # phrases may span lines
    for pattern, instead in AVOID.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield f"{match[0]!r} ({instead}): …{text[max(match.start() - 60, 0) : match.end() + 60]}…"


@pytest.mark.parametrize("name", prose())
def test_texts_are_in_plain_english(name: str) -> None:
    text = prose()[name]
    for phrase in ALLOWED.get(name, {}):
        assert phrase in text, f"{phrase!r} is not used any more: remove the exception"
        text = text.replace(phrase, "")
    assert not list(found(text))


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Whoever asks gets the answer at once.", 2),
        ("A mail that waits goes out anew.\nNobody is told.", 4),
        ("The mail server accepts `mails`.", 1),
        (markdown("Dead letters are listed by `app mail`.\n```console\nmails\n```\n"), 0),
        (python('def shall() -> None:\n    """Tell somebody."""  # at once\n'), 3),
        (python_tests('def test_whoever() -> None:\n    assert "mails", f"somebody {1} told"  # anew\n'), 4),
    ],
)
def test_phrases_are_found_in_prose_only(text: str, phrases: int) -> None:
    assert len(list(found(text))) == phrases

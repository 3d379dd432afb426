"""The documentation says what copier.yml asks."""

from pathlib import Path

import pytest

from tests.question_docs import PAGES, renewed
from tests.questionnaire import questions
from tests.rendering import ROOT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_questions_are_described_as_they_are_asked(page: Path) -> None:
    text = renewed(page)
    assert page.read_text(encoding="utf-8") == text, "run `just questions`"
    assert all(f"`{question.name}`" in text for question in questions())

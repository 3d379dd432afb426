"""The documentation of the questions matches copier.yml."""

from pathlib import Path

import pytest

from tests.question_docs import PAGES, updated_page
from tests.questionnaire import questions
from tests.rendering import ROOT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_question_docs_are_up_to_date(page: Path) -> None:
    text = updated_page(page)
    assert page.read_text(encoding="utf-8") == text, "run `just questions`"
    assert all(f"`{question.name}`" in text for question in questions())

"""What is said about an error: enough to find it, and no value that may be personal."""

import pytest
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DataError, IntegrityError

from app.outbox.failures import said


class NotAUuid(Exception):
    """What a driver raises."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no such teapot\nat all"), "ValueError: no such teapot"),
        (ValueError(), "ValueError"),
        (DataError("SELECT", {}, NotAUuid('invalid input syntax for type uuid: "hunter2"')), "DataError: NotAUuid"),
        (
            IntegrityError("INSERT", {}, Exception("duplicate key\nDETAIL: Key (email)=(hunter2)")),
            "IntegrityError: duplicate key",
        ),
    ],
)
def test_it_names_the_error_and_its_first_line(error: Exception, expected: str) -> None:
    assert said(error) == expected


def test_what_does_not_fit_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(int).validate_python("hunter2")

    assert said(refused.value).startswith("ValidationError: : Input should be a valid integer")
    assert "hunter2" not in said(refused.value)

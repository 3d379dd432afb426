"""Descriptions of errors do not contain rejected values, which may be personal data."""

import pytest
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DataError, IntegrityError

from app.outbox.errors import describe_error


class DriverError(Exception):
    """An error of a database driver."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no such teapot\nat all"), "ValueError: no such teapot"),
        (ValueError(), "ValueError"),
        (
            DataError("SELECT", {}, DriverError('invalid input syntax for type uuid: "hunter2"')),
            "DataError: DriverError",
        ),
        (
            IntegrityError("INSERT", {}, Exception("duplicate key\nDETAIL: Key (email)=(hunter2)")),
            "IntegrityError: duplicate key",
        ),
    ],
)
def test_description_has_error_type_and_first_line(error: Exception, expected: str) -> None:
    assert describe_error(error) == expected


def test_rejected_value_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int).validate_python("hunter2")

    assert describe_error(caught.value).startswith("ValidationError: : Input should be a valid integer")
    assert "hunter2" not in describe_error(caught.value)

"""Arguments of tasks: validated when enqueued, stored as JSON, and validated again before the call."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from app.outbox.errors import ExpectedError, describe_error

# Bytes and infinite floats survive JSON. Errors name an argument without its value.
JSON_CONFIG = ConfigDict(
    extra="forbid",
    hide_input_in_errors=True,
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="strings",
)


class InvalidArguments(ExpectedError):
    """The stored arguments do not fit the function, for example because it changed in the meantime."""


@cache
def arguments_model(function: Callable[..., Any]) -> type[BaseModel]:
    """Create a model of a function's arguments, except the first one (the session or the job).

    Raises:
        TypeError: If an argument is not keyword-only.
    """
    name: str = function.__name__  # ty: ignore[missing-attribute]
    hints = get_type_hints(function)
    _, *parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(f"{name}: put a * before {parameter.name}; arguments of tasks must be keyword-only.")
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters
    }
    return create_model(name, __config__=JSON_CONFIG, **fields)


def parse_arguments(arguments: type[BaseModel], text: str | bytes) -> dict[str, Any]:
    """Parse stored arguments.

    Raises:
        InvalidArguments: If they no longer fit the function.
    """
    try:
        return dict(arguments.model_validate_json(text))
    except ValidationError as error:
        raise InvalidArguments(describe_error(error)) from None

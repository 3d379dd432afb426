"""What a function is to be called with later: checked when it is given, kept as JSON, and checked again."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from app.outbox.failures import TryAgain, said

# What JSON cannot say by itself comes back as it was; errors name an argument and not its value.
AS_JSON = ConfigDict(
    extra="forbid",
    hide_input_in_errors=True,
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="strings",
)


class UnfitArguments(TryAgain):
    """The arguments are not those of the function any more, for example because it has changed since."""


@cache
def arguments_of(function: Callable[..., Any]) -> type[BaseModel]:
    """Make a model of what a function is called with, after the session or the job.

    Raises:
        TypeError: If it takes one of them by its place.
    """
    name: str = function.__name__  # ty: ignore[missing-attribute]
    hints = get_type_hints(function)
    _, *parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(f"{name}: put a * before {parameter.name}; what is done later is called by name.")
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters
    }
    return create_model(name, __config__=AS_JSON, **fields)


def read(arguments: type[BaseModel], text: str | bytes) -> dict[str, Any]:
    """Read from JSON what a function is to be called with.

    Raises:
        UnfitArguments: If it does not fit any more.
    """
    try:
        return dict(arguments.model_validate_json(text))
    except ValidationError as error:
        raise UnfitArguments(said(error)) from None

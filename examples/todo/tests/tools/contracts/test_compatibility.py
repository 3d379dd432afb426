"""Compatible and breaking changes of event schemas: only fields may be added."""

from dataclasses import dataclass, field, make_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import Field, TypeAdapter

from tools.contracts.compatibility import Schema, breaking_changes


class First(StrEnum):
    RED = "red"
    BLUE = "blue"


class Second(StrEnum):
    """The same values with another name and order."""

    BLUE = "blue"
    RED = "red"


@dataclass
class Place:
    town: str


@dataclass
class Location:
    """The same field with another class name, and further fields."""

    town: Annotated[str, Field(title="Where", description="The town.", examples=["Ulm"])]
    street: str = ""
    rooms: list[str] = field(default_factory=list)


@dataclass
class Street:
    town: str
    street: str


@dataclass
class Town:
    town: int


@dataclass
class OptionalTown:
    town: str = ""


@dataclass
class Person:
    name: str
    friends: list["Person"]


@dataclass
class Animal:
    name: str
    friends: list["Animal"]


@dataclass
class Robot:
    name: int
    friends: list["Robot"]


def changes_of_field(old: Any, new: Any) -> list[str]:
    """Return the breaking changes when a field changes its type."""
    return breaking_changes(schema(it=old), schema(it=new), ["it"])


def schema(**fields: Any) -> Schema:
    return TypeAdapter(make_dataclass("Happened", fields.items())).json_schema(mode="serialization")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (str, str),
        (str, Annotated[str, Field(title="It", description="The field.", deprecated=True)]),
        (First, Second),
        (Place, Location),
        (list[Place], list[Location]),
        (Place | None, Location | None),
        (dict[str, Place], dict[str, Location]),
        (tuple[Place, int], tuple[Location, int]),
        (tuple[()], tuple[()]),
        (Person, Animal),
    ],
)
def test_compatible_changes_are_accepted(old: Any, new: Any) -> None:
    assert changes_of_field(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (UUID, str, ['it: format was "uuid", is not set']),
        (str, datetime, ['it: format was not set, is "date-time"']),
        (int, str, ['it: type was "integer", is "string"']),
        (First, Literal["red"], ["it: const was not set", 'it: enum was ["blue", "red"], is not set']),
        (Literal["a", "b"], Literal["a", "c", "b"], ['it: enum was ["a", "b"], is ["a", "b", "c"]']),
        (str, Annotated[str, Field(max_length=5)], ["it: maxLength was not set, is 5"]),
        (Annotated[str, Field(max_length=5)], Annotated[str, Field(max_length=6)], ["it: maxLength was 5, is 6"]),
        (str | None, str, ["it: anyOf was", 'it: type was not set, is "string"']),
        (str | int, str | int | None, ["it: anyOf was"]),
        (int | None, str | None, ['it: type was "integer", is "string"']),
        (Location, Place, ["it.street: was removed", "it.rooms: was removed"]),
        (Place, Street, ["it.street: is new and needs a default, because topics still contain events without it"]),
        (Place, Town, ['it.town: type was "string", is "integer"']),
        (list[Place], list[Town], ['it[].town: type was "string", is "integer"']),
        (dict[str, Place], dict[str, Town], ['it[].town: type was "string", is "integer"']),
        (tuple[int, Place], tuple[int, Town], ['it.town: type was "string", is "integer"']),
        (Place, OptionalTown, ["it.town: was required, is optional"]),
        (Person, Robot, ['it.name: type was "string", is "integer"']),
    ],
)
def test_breaking_changes_are_reported(old: Any, new: Any, expected: list[str]) -> None:
    found = sorted(changes_of_field(old, new))

    assert len(found) == len(expected), found
    for line, beginning in zip(found, sorted(expected), strict=True):
        assert line.startswith(beginning)


def test_field_names_may_be_json_schema_keywords() -> None:
    found = breaking_changes(schema(title=str, default=str), schema(title=int), ["title"])
    assert found == ['title: type was "string", is "integer"', "default: was removed"]


def test_keywords_of_the_event_must_not_change() -> None:
    old = schema(it=str) | {"x-topic": "users"}
    assert breaking_changes(old, old | {"x-topic": "accounts"}, ["it"]) == ['event: x-topic was "users", is "accounts"']


def test_keywords_next_to_a_reference_are_compared() -> None:
    old = schema(it=Place)
    new = old | {"properties": {"it": {"$ref": "#/$defs/Place", "minProperties": 2}}}
    assert breaking_changes(old, new, ["it"]) == ["it: minProperties was not set, is 2"]

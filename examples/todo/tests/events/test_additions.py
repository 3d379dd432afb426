"""What may become of a promise: fields are added, and nothing else changes."""

from dataclasses import dataclass, field, make_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import Field, TypeAdapter

from app.events.additions import Schema, refusals


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Color(StrEnum):
    """The same by another name, in another order."""

    BLUE = "blue"
    RED = "red"


@dataclass
class Place:
    town: str


@dataclass
class Location:
    """The same by another name, and more."""

    town: Annotated[str, Field(title="Where", description="It is there.", examples=["Ulm"])]
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
class Anywhere:
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


def refused(old: Any, new: Any) -> list[str]:
    """Change the type of a field."""
    return refusals(schema(it=old), schema(it=new), ["it"])


def schema(**fields: Any) -> Schema:
    return TypeAdapter(make_dataclass("Happened", fields.items())).json_schema(mode="serialization")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (str, str),
        (str, Annotated[str, Field(title="It", description="That is it.", deprecated=True)]),
        (Colour, Color),
        (Place, Location),
        (list[Place], list[Location]),
        (Place | None, Location | None),
        (dict[str, Place], dict[str, Location]),
        (tuple[Place, int], tuple[Location, int]),
        (tuple[()], tuple[()]),
        (Person, Animal),
    ],
)
def test_what_others_do_not_notice(old: Any, new: Any) -> None:
    assert refused(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (UUID, str, ['it: format was "uuid", is not there']),
        (str, datetime, ['it: format was not there, is "date-time"']),
        (int, str, ['it: type was "integer", is "string"']),
        (Colour, Literal["red"], ["it: const was not there", 'it: enum was ["blue", "red"], is not there']),
        (Literal["a", "b"], Literal["a", "c", "b"], ['it: enum was ["a", "b"], is ["a", "b", "c"]']),
        (str, Annotated[str, Field(max_length=5)], ["it: maxLength was not there, is 5"]),
        (Annotated[str, Field(max_length=5)], Annotated[str, Field(max_length=6)], ["it: maxLength was 5, is 6"]),
        (str | None, str, ["it: anyOf was", 'it: type was not there, is "string"']),
        (str | int, str | int | None, ["it: anyOf was"]),
        (int | None, str | None, ['it: type was "integer", is "string"']),
        (Location, Place, ["it.street: is gone", "it.rooms: is gone"]),
        (Place, Street, ["it.street: is new and has no default, but is not in the events that topics still keep"]),
        (Place, Town, ['it.town: type was "string", is "integer"']),
        (list[Place], list[Town], ['it[].town: type was "string", is "integer"']),
        (dict[str, Place], dict[str, Town], ['it[].town: type was "string", is "integer"']),
        (tuple[int, Place], tuple[int, Town], ['it.town: type was "string", is "integer"']),
        (Place, Anywhere, ["it.town: was in every event, and need not be any more"]),
        (Person, Robot, ['it.name: type was "string", is "integer"']),
    ],
)
def test_what_others_would_notice(old: Any, new: Any, said: list[str]) -> None:
    found = sorted(refused(old, new))

    assert len(found) == len(said), found
    for line, beginning in zip(found, sorted(said), strict=True):
        assert line.startswith(beginning)


def test_a_field_may_be_called_like_a_word_of_json_schema() -> None:
    found = refusals(schema(title=str, default=str), schema(title=int), ["title"])
    assert found == ['title: type was "string", is "integer"', "default: is gone"]


def test_what_is_said_of_an_event_as_a_whole_stays() -> None:
    old = schema(it=str) | {"x-topic": "users"}
    assert refusals(old, old | {"x-topic": "people"}, ["it"]) == ['event: x-topic was "users", is "people"']


def test_what_stands_beside_a_reference_counts() -> None:
    old = schema(it=Place)
    new = old | {"properties": {"it": {"$ref": "#/$defs/Place", "minProperties": 2}}}
    assert refusals(old, new, ["it"]) == ["it: minProperties was not there, is 2"]

"""The schemas that the code declares."""

import pytest
from polyfactory.factories import DataclassFactory

from app.core.events import Event
from app.messaging.contracts import Contract, all_contracts
from tests.tools.contracts.conftest import ReplaceContracts
from tools.contracts.schemas import data_schema, published_schemas


def test_schema_contains_the_data_topic_and_key(replace_contracts: ReplaceContracts) -> None:
    replace_contracts(("size", int, 0))

    envelope, schema = published_schemas()
    assert envelope.name == "cloudevent"
    assert schema.required == {"thing_id"}
    assert schema.content == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "thing.happened.v1",
        "title": "Happened",
        "description": "Something has happened.",
        "type": "object",
        "properties": {
            "thing_id": {"title": "Thing Id", "type": "string", "format": "uuid"},
            "size": {"title": "Size", "type": "integer", "default": 0},
        },
        "required": ["size", "thing_id"],
        "x-topic": "things",
        "x-key": "thing_id",
    }


@pytest.mark.parametrize("made", all_contracts(), ids=lambda made: made.type)
def test_all_fields_are_written(made: Contract[Event]) -> None:
    event = DataclassFactory.create_factory(made.event).build()
    assert sorted(made.data(event)) == data_schema(made)["required"]

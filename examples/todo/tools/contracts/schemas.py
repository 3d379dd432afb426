"""The schemas that the code declares: of the envelope, and of the data of each published event."""

from collections.abc import Collection
from dataclasses import MISSING, dataclass, fields
from typing import Any

from pydantic import TypeAdapter

from app.messaging import contracts
from app.messaging.contracts import ENVELOPE_FIELDS, Contract
from app.messaging.envelope import CloudEvent
from tools.contracts.compatibility import Schema

ENVELOPE = "cloudevent"


@dataclass(frozen=True)
class PublishedSchema:
    """A schema that other services rely on."""

    name: str
    content: Schema
    required: Collection[str]  # fields without a default: this service cannot read messages without them
    advice: str  # what to do instead of a breaking change


def published_schemas() -> list[PublishedSchema]:
    """Return the schema of the envelope, then those of the events in the topics of this service, by name."""
    return [_envelope(), *(_event(contract) for contract in contracts.all_contracts() if contract.topic.owned)]


def data_schema(contract: Contract[Any]) -> Schema:
    """Return the schema of an event's data. Fields with a default are required too, because they are always written."""
    schema = TypeAdapter(contract.event).json_schema(mode="serialization")
    properties = {name: rules for name, rules in schema["properties"].items() if name not in ENVELOPE_FIELDS}
    return schema | {"properties": properties, "required": sorted(properties)}


def _event(contract: Contract[Any]) -> PublishedSchema:
    name, _, version = contract.type.rpartition(".v")
    return PublishedSchema(
        name=contract.type,
        content=_document(
            contract.type, {**data_schema(contract), "x-topic": contract.topic.name, "x-key": contract.key}
        ),
        required={
            field.name
            for field in fields(contract.event)
            if field.name not in ENVELOPE_FIELDS and field.default is MISSING and field.default_factory is MISSING
        },
        advice=(
            f"Keep {contract.event.__name__} unchanged, and add a class for the new version, with a separate contract:\n"
            f'"{name}.v{int(version) + 1}". Publish both until no service reads {contract.type} any more.'
        ),
    )


def _envelope() -> PublishedSchema:
    written = [name for name, field in CloudEvent.model_fields.items() if field.default is not None]  # None is left out
    return PublishedSchema(
        name=ENVELOPE,
        content=_document(ENVELOPE, CloudEvent.model_json_schema(mode="serialization") | {"required": written}),
        required=[name for name, field in CloudEvent.model_fields.items() if field.is_required()],
        advice="The envelope of all events must not change. Add new fields to the event data instead.",
    )


def _document(name: str, schema: Schema) -> Schema:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": name, **schema}

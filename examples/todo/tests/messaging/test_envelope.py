"""The envelope: requirements of CloudEvents 1.0."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from app.messaging.envelope import CloudEvent

REQUIRED_ATTRIBUTES: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/another",
    "type": "test.happened.v1",
    "subject": "ada",
    "time": "2030-01-31T12:00:00Z",
    "data": {},
}


def test_unknown_attributes_are_ignored() -> None:
    envelope = CloudEvent.model_validate_json(json.dumps(REQUIRED_ATTRIBUTES | {"partitionkey": "7"}))

    assert json.loads(envelope.model_dump_json(exclude_none=True)) == REQUIRED_ATTRIBUTES | {
        "datacontenttype": "application/json"
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"id": "a\x00b"},
        {"id": "1" * 101},
        {"source": "/an\nother"},
        {"type": "t" * 201},
        {"requestid": "r" * 201},
        {"requestid": "\x7f"},
        {"time": "2030-01-31T12:00:00"},
        {"datacontenttype": "text/plain"},
        {"data": None},
        {"data": "hunter2"},
    ],
    ids=str,
)
def test_invalid_events_are_rejected_without_values(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        CloudEvent.model_validate_json(json.dumps(REQUIRED_ATTRIBUTES | wrong))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(REQUIRED_ATTRIBUTES.keys() - {"specversion"}))
def test_missing_attribute_is_rejected(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        CloudEvent.model_validate({key: value for key, value in REQUIRED_ATTRIBUTES.items() if key != name})

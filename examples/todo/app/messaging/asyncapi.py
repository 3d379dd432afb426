"""The AsyncAPI document: topics, messages, senders, and receivers.

It contains no servers, because they depend on the environment. Source:
https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Iterable
from inspect import getdoc
from typing import Any

from app.core.openapi import api_metadata
from app.messaging import consumers, contracts
from app.messaging.consumers import Consumer
from app.messaging.contracts import Contract, Topic
from app.messaging.envelope import CONTENT_TYPE, CloudEvent

Document = dict[str, Any]

BINDING = "0.5.0"  # version of AsyncAPI's Kafka bindings


def document(envelope: str) -> Document:
    """Return a document of all contracts and all consumers.

    Args:
        envelope: Name of the file with the schema of the envelope.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": api_metadata()["title"],
            "version": "1",  # of the document; events have their own versions
            "description": "Events as CloudEvents 1.0. Events with the same key are delivered in order.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic) for topic in contracts.all_topics()},
        "operations": _sent() | _received(),
        "components": {"messages": {made.type: _message(made, envelope) for made in contracts.all_contracts()}},
    }


def _channel(topic: Topic) -> Document:
    return {
        "address": topic.name,
        "messages": {made.type: _to("components/messages", made.type) for made in _in(topic)},
        "bindings": _kafka(
            partitions=topic.partitions,
            topicConfiguration={
                "cleanup.policy": ["compact" if topic.compacted else "delete"],
                "retention.ms": round(topic.retention.total_seconds() * 1000),
            },
        ),
    }


def _message(contract: Contract[Any], envelope: str) -> Document:
    return {
        "name": contract.type,
        "title": contract.event.__name__,
        "summary": getdoc(contract.event),
        "payload": {
            "allOf": [
                {"$ref": f"./{envelope}.json"},
                {
                    "type": "object",
                    "properties": {"type": {"const": contract.type}, "data": _data(contract)},
                },
            ]
        },
        "bindings": _kafka(key={"type": "string", "description": f"The subject ({contract.key})."}),
    }


def _data(contract: Contract[Any]) -> Document:
    """Refer to a published schema, or describe the fields that are read of another service's event."""
    if contract.topic.owned:
        return {"$ref": f"./{contract.type}.json"}
    return {name: rule for name, rule in contract.schema().items() if not name.startswith("$")}


def _sent() -> Document:
    return {
        f"send-{topic.name}": _operation("send", topic, _in(topic)) for topic in contracts.all_topics() if topic.owned
    }


def _received() -> Document:
    return {
        f"{consumer.name}-{topic.name}": _operation("receive", topic, _wanted(consumer, topic))
        | {"bindings": _kafka(groupId={"type": "string", "enum": [consumer.group]})}
        for consumer in consumers.all_consumers()
        for topic in consumer.topics
    }


def _operation(action: str, topic: Topic, messages: Iterable[Contract[Any]]) -> Document:
    return {
        "action": action,
        "channel": _to("channels", topic.name),
        "messages": [_to(f"channels/{topic.name}/messages", made.type) for made in messages],
    }


def _in(topic: Topic) -> list[Contract[Any]]:
    return [made for made in contracts.all_contracts() if made.topic == topic]


def _wanted(consumer: Consumer, topic: Topic) -> list[Contract[Any]]:
    return [made for made in _in(topic) if consumer.handles(CloudEvent.model_construct(type=made.type))]


def _kafka(**binding: Any) -> Document:
    return {"kafka": {**binding, "bindingVersion": BINDING}}


def _to(*path: str) -> Document:
    return {"$ref": "/".join(("#", *path))}

"""The AsyncAPI document: topics, messages, senders, and receivers.

It contains no servers, because they depend on the environment. Source:
https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Iterable, Iterator
from inspect import getdoc
from typing import Any

from app.core.openapi import api_metadata
from app.messaging import consumers, contracts
from app.messaging.consumers import Consumer
from app.messaging.contracts import Contract, Topic
from app.messaging.envelope import CONTENT_TYPE, CloudEvent
from tools.contracts.schemas import ENVELOPE, data_schema

Document = dict[str, Any]

BINDING = "0.5.0"  # version of AsyncAPI's Kafka bindings


def document() -> Document:
    """Return a document of all contracts and all consumers."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": api_metadata()["title"],
            "version": "1",  # of the document; events have their own versions
            "description": "Events as CloudEvents 1.0. Events with the same key are delivered in order.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic) for topic in contracts.all_topics()},
        "operations": dict(_operations()),
        "components": {"messages": {contract.type: _message(contract) for contract in contracts.all_contracts()}},
    }


def _channel(topic: Topic) -> Document:
    return {
        "address": topic.name,
        "messages": {contract.type: _ref("components/messages", contract.type) for contract in _contracts_of(topic)},
        "bindings": _kafka(
            partitions=topic.partitions,
            topicConfiguration={
                "cleanup.policy": ["compact" if topic.compacted else "delete"],
                "retention.ms": round(topic.retention.total_seconds() * 1000),
            },
        ),
    }


def _operations() -> Iterator[tuple[str, Document]]:
    for topic in contracts.all_topics():
        if topic.owned:
            yield f"send-{topic.name}", _operation("send", topic, _contracts_of(topic))
    for consumer in consumers.all_consumers():
        for topic in consumer.topics:
            received = [contract for contract in _contracts_of(topic) if _handles(consumer, contract)]
            group = _kafka(groupId={"type": "string", "enum": [consumer.group]})
            yield f"{consumer.name}-{topic.name}", _operation("receive", topic, received) | {"bindings": group}


def _operation(action: str, topic: Topic, messages: Iterable[Contract[Any]]) -> Document:
    return {
        "action": action,
        "channel": _ref("channels", topic.name),
        "messages": [_ref(f"channels/{topic.name}/messages", contract.type) for contract in messages],
    }


def _message(contract: Contract[Any]) -> Document:
    data = _file(contract.type) if contract.topic.owned else data_schema(contract)  # others publish their schemas
    typed = {"type": "object", "properties": {"type": {"const": contract.type}, "data": data}}
    return {
        "name": contract.type,
        "title": contract.event.__name__,
        "summary": getdoc(contract.event),
        "payload": {"allOf": [_file(ENVELOPE), typed]},
        "bindings": _kafka(key={"type": "string", "description": f"The subject ({contract.key})."}),
    }


def _contracts_of(topic: Topic) -> list[Contract[Any]]:
    return [contract for contract in contracts.all_contracts() if contract.topic == topic]


def _handles(consumer: Consumer, contract: Contract[Any]) -> bool:
    return consumer.handles(CloudEvent.model_construct(type=contract.type))


def _kafka(**binding: Any) -> Document:
    return {"kafka": {**binding, "bindingVersion": BINDING}}


def _ref(path: str, name: str) -> Document:
    return {"$ref": f"#/{path}/{name}"}


def _file(name: str) -> Document:
    return {"$ref": f"./{name}.json"}

"""Fixtures that replace the contracts of the service."""

from collections.abc import Callable
from dataclasses import make_dataclass
from typing import Any
from uuid import UUID

import pytest

from app import features  # noqa: F401 - imports the contracts of all modules
from app.core.events import Event
from app.messaging.contracts import Contract, Topic, contract
from tests.conftest import IsolateRegistry

EVENT_NAME = "thing.happened.v1"

ReplaceContracts = Callable[..., Contract[Any]]


def make_event(name: str, *fields: Any) -> Any:
    """Create an event class."""
    namespace = {"__doc__": "Something has happened."}
    return make_dataclass(
        name, [("thing_id", UUID), *fields], bases=(Event,), namespace=namespace, frozen=True, kw_only=True
    )


@pytest.fixture
def replace_contracts(isolate_registry: IsolateRegistry) -> ReplaceContracts:
    """Replace all contracts and consumers with one contract."""
    registries = [
        isolate_registry(f"app.messaging.{name}")
        for name in ("contracts._by_event", "contracts._by_type", "consumers._consumers")
    ]

    def replace(*fields: Any, topic: str = "things", key: str = "thing_id", name: str = EVENT_NAME) -> Contract[Any]:
        for registry in registries:
            registry.clear()
        return contract(make_event("Happened", *fields), name, Topic(topic), key=key)

    return replace

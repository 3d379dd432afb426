"""Consumer lag. `test_commands.py` tests the output of the command."""

from typing import cast

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from app.messaging import lag
from tests.waiting import TIMEOUT_SECONDS


class Asked:
    """A client that raises errors with these codes before it returns positions."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return partitions


def ask(*codes: int, timeout_seconds: float = TIMEOUT_SECONDS) -> list[TopicPartition]:
    reader = cast("KafkaConsumer", Asked(*codes))
    return lag._committed(reader, [TopicPartition("users", 0)], timeout_seconds, again_seconds=0)


def test_transient_errors_are_retried() -> None:
    assert len(ask(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE)) == 1


def test_permanent_errors_are_raised() -> None:
    with pytest.raises(KafkaException):
        ask(KafkaError.GROUP_AUTHORIZATION_FAILED)


def test_retries_end_at_timeout() -> None:
    with pytest.raises(KafkaException):
        ask(KafkaError.NOT_COORDINATOR, timeout_seconds=-1)

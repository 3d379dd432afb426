"""How far consumers are behind; `test_commands.py` shows what a person sees of it."""

from typing import cast

import pytest
from confluent_kafka import Consumer as Reader
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from app.events import lag
from tests.waiting import TIMEOUT_SECONDS


class Asked:
    """What knows the positions, with what it says first."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return partitions


def ask(*codes: int, timeout_seconds: float = TIMEOUT_SECONDS) -> list[TopicPartition]:
    reader = cast("Reader", Asked(*codes))
    return lag._committed(reader, [TopicPartition("users", 0)], timeout_seconds, again_seconds=0)


def test_a_kafka_that_is_new_is_asked_again() -> None:
    assert len(ask(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE)) == 1


def test_one_that_says_no_is_not() -> None:
    with pytest.raises(KafkaException):
        ask(KafkaError.GROUP_AUTHORIZATION_FAILED)


def test_nobody_asks_for_ever() -> None:
    with pytest.raises(KafkaException):
        ask(KafkaError.NOT_COORDINATOR, timeout_seconds=-1)

"""Kafka for these tests: the servers of KAFKA_BOOTSTRAP_SERVERS, or an in-process broker; and sample events."""

import os
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from sqlmodel import delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core import events
from app.core.events import Event
from app.db.base import Base
from app.db.session import Database, transaction
from app.messaging import contracts, topics
from app.messaging.consumers import Consumer
from app.messaging.contracts import Topic, contract
from app.messaging.development import broker
from app.messaging.envelope import CloudEvent
from app.messaging.publisher import to_cloud_event
from app.messaging.settings import KafkaConfig
from app.messaging.topics import create_topics, missing_topics
from app.modules.statistics.models import DailyCount
from tests.conftest import IsolateRegistry
from tests.waiting import TIMEOUT_SECONDS

KAFKA_SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")  # read before the environment of the tests replaces it
EVENT_TYPE = "test.happened.v1"
EVENT_TIME = datetime(2030, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class SampleEvent(Event):
    """A sample event."""

    who: str
    number: int = 0


@pytest.fixture(scope="session")
def kafka() -> Generator[KafkaConfig]:
    """Client configuration with the address of Kafka."""
    if KAFKA_SERVERS is not None:
        yield {"bootstrap.servers": KAFKA_SERVERS}
        return
    with broker([]) as address:
        yield {"bootstrap.servers": address}


@pytest.fixture
def topic(kafka: KafkaConfig) -> Generator[Topic]:
    """A separate topic for each test."""
    topic = Topic(f"test-{uuid4().hex}", partitions=4)
    ensure_topics(kafka, topic)
    yield topic
    if KAFKA_SERVERS is not None:
        admin = AdminClient(kafka)
        admin.delete_topics([topic.name])[topic.name].result()


def ensure_topics(kafka: KafkaConfig, *topics: Topic) -> None:
    """Create topics. The in-process broker creates them when they are looked up, and has no other way."""
    if KAFKA_SERVERS is not None:
        create_topics(kafka, missing_topics(kafka, topics), replicas=1)
        while missing_topics(kafka, topics):  # Kafka reports success shortly before they exist
            time.sleep(0.01)
        return
    client = Producer(kafka)
    for topic in topics:
        client.list_topics(topic.name, timeout=TIMEOUT_SECONDS)


@pytest.fixture(autouse=True)
def _restore_registries(isolate_registry: IsolateRegistry) -> None:
    """Remove the contracts and the consumers of a test at its end."""
    for name in ("contracts._by_event", "contracts._by_type", "consumers._consumers"):
        isolate_registry(f"app.messaging.{name}")


def declare_topics(*topics: Topic) -> None:
    """Replace all contracts with one for each of these topics, until `_restore_registries` resets them."""
    contracts._by_event.clear()
    contracts._by_type.clear()
    for number, topic in enumerate(topics):
        event = dataclass(frozen=True, kw_only=True)(type(f"Declared{number}", (SampleEvent,), {}))
        contract(event, f"test.declared{number}.v1", topic, key="who")


class RecordingAdminClient(AdminClient):
    """An admin client that records topics to create, because the in-process broker cannot create them."""

    requested_topics: list[NewTopic]
    error: KafkaException | None = None

    def create_topics(self, new_topics: list[NewTopic], **options: Any) -> dict[str, Future[None]]:
        type(self).requested_topics = new_topics
        results: dict[str, Future[None]] = {new.topic: Future() for new in new_topics}
        for result in results.values():
            result.set_exception(self.error) if self.error else result.set_result(None)
        return results


@pytest.fixture
def recording_admin_client(monkeypatch: pytest.MonkeyPatch) -> type[RecordingAdminClient]:
    """Replaces Kafka's admin client. Request it after `topic`, which creates its topic with the real one."""
    client = type("RecordingAdminClient", (RecordingAdminClient,), {})
    monkeypatch.setattr(topics, "AdminClient", client)
    return client


@pytest.fixture
def short_kafka_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeout for an unavailable Kafka: its client waits for the whole time, even if refused."""
    monkeypatch.setattr(topics, "TIMEOUT_SECONDS", 0.1)


@pytest.fixture
def sample_event(topic: Topic) -> type[SampleEvent]:
    """An event class with a contract."""
    contract(SampleEvent, EVENT_TYPE, topic, key="who")
    return SampleEvent


@pytest.fixture
async def empty_database(committing_database: Database) -> AsyncGenerator[Database]:
    """A database with real commits, empty before and after."""
    await delete_all_rows(committing_database)
    yield committing_database
    await delete_all_rows(committing_database)


async def delete_all_rows(database: Database) -> None:
    async with transaction(database.write) as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.exec(delete(table))


class RecordingConsumer:
    """A consumer that records its events, in memory and in the database, and raises those in `errors`."""

    def __init__(self, name: str) -> None:
        self.consumer = Consumer(name)
        self.consumer.on(SampleEvent)(self._handle)
        self.handled: list[str] = []
        self.errors: dict[str, Exception] = {}

    async def _handle(self, session: AsyncSession, event: SampleEvent) -> None:
        what = f"{event.who} {event.number}"
        self.handled.append(what)
        session.add(DailyCount(day=EVENT_TIME.date(), type=what, count=1))
        await session.flush()
        if what in self.errors:
            raise self.errors[what]


@pytest.fixture
def recording_consumer(sample_event: type[SampleEvent]) -> RecordingConsumer:
    """A consumer with a unique name, so that Kafka has no position for it."""
    return RecordingConsumer(f"test-{uuid4().hex}")


async def recorded_effects(database: Database) -> list[str]:
    """Return what `RecordingConsumer` has written to the database."""
    async with transaction(database.read_transaction) as session:
        return list((await session.exec(select(DailyCount.type).order_by("type"))).all())


def make_message_bytes(who: str, number: int = 0, **attributes: Any) -> bytes:
    """Return an event as another service sends it."""
    data = {"who": who, "number": number} | attributes.pop("data", {})
    values: dict[str, Any] = {
        "id": str(uuid4()),
        "source": "/another",
        "type": EVENT_TYPE,
        "subject": who,
        "time": EVENT_TIME,
        "data": data,
    }
    return CloudEvent(**(values | attributes)).model_dump_json(exclude_none=True).encode()


def to_envelope(event: Event) -> CloudEvent:
    """Return the envelope of an event."""
    made = contracts.contract_for(type(event))
    assert made is not None
    return to_cloud_event(event, made)


def to_message_bytes(event: Event) -> bytes:
    """Return an event as a Kafka message."""
    return to_envelope(event).model_dump_json(exclude_none=True).encode()


def send_messages(kafka: KafkaConfig, topic: Topic, *messages: bytes) -> None:
    """Send messages as another service does, with the subject as the key."""
    producer = Producer(kafka)
    for each in messages:
        producer.produce(topic.name, each, key=CloudEvent.model_validate_json(each).subject)
    assert producer.flush(TIMEOUT_SECONDS) == 0


async def publish(database: Database, *happened: Event) -> list[UUID]:
    """Publish events in a transaction, and return their ids."""
    async with transaction(database.write) as session:
        for event in happened:
            await events.publish(session, event)
            await session.flush()
    return [event.event_id for event in happened]


def produced_events(kafka: KafkaConfig, topic: Topic) -> list[CloudEvent]:
    """Return all events of a topic, by partition."""
    return [CloudEvent.model_validate_json(value) for _, value, _ in read_messages(kafka, topic)]


def read_messages(kafka: KafkaConfig, topic: Topic) -> list[tuple[int, bytes, dict[str, Any]]]:
    """Return all messages of a topic, with partition and headers."""
    found: list[tuple[int, bytes, dict[str, Any]]] = []
    with closing(KafkaConsumer(kafka | {"group.id": "tests", "enable.auto.commit": False})) as reader:
        known = reader.list_topics(topic.name, timeout=TIMEOUT_SECONDS).topics[topic.name].partitions
        partitions = [TopicPartition(topic.name, number, 0) for number in known]
        left = sum(reader.get_watermark_offsets(each, timeout=TIMEOUT_SECONDS)[1] for each in partitions)
        reader.assign(partitions)
        while len(found) < left:
            for record in reader.consume(500, timeout=0.1):
                value, partition = record.value(), record.partition()
                assert value is not None
                assert partition is not None
                found.append((partition, value, dict(record.headers() or [])))
    return sorted(found, key=lambda each: each[0])


def committed_offset(kafka: KafkaConfig, group: str, topic: Topic) -> int:
    """Return the number of messages of a topic before the committed position of a group."""
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    with closing(KafkaConsumer(kafka | {"group.id": group})) as reader:
        return sum(max(each.offset, 0) for each in reader.committed(partitions, timeout=TIMEOUT_SECONDS))


def numbers_by_key(sent: Sequence[CloudEvent]) -> dict[str, list[int]]:
    """Return the numbers of events, by key."""
    found: dict[str, list[int]] = {}
    for each in sent:
        found.setdefault(each.subject, []).append(each.data["number"])
    return found

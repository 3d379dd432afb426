"""A service whose events go through a real Kafka: API, two relays, three consumers, PostgreSQL, any of which can be killed."""

import http.client
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.crashes.project import project
from tests.crashes.servers import Postgres
from tests.crashes.site import Processes
from tests.kafka.broker import Broker, broker
from tests.matrix.processes import StepError
from tests.matrix.service import ask, kill

PROBE = Path(__file__).with_name("events_probe.py")
RELAYS = ("relay-1", "relay-2")
CONSUMERS = ("consumer-1", "consumer-2", "consumer-3")
STABILIZED = r"Stabilized group \S+\.probe generation \d+ .*with (\d+) members"


class EventSite(Processes):
    """The whole service."""

    nothing: ClassVar = {"waiting": 0, "dead": 0, "behind": 0}

    def __init__(self, project: Path, folder: Path, database: Postgres, kafka: Broker) -> None:
        settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.address}
        super().__init__(project, folder, database, settings, ("api", *RELAYS, *CONSUMERS))
        self.kafka = kafka
        self._told = 0  # so much of the log of Kafka is about earlier scenes

    def begin(self) -> float:
        """Begin a new scene."""
        began = super().begin()
        self._told = self.kafka.log.stat().st_size
        return began

    def post(self, path: str, body: object) -> None:
        """Tell the observer to do something.

        Raises:
            StepError: If it does not.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self["observer"].port, timeout=60)
        if (answer := ask(connection, "POST", f"/probe/{path}", body)).status != 201:
            raise self.error(f"{path}: {answer.status} {answer.body.decode()}")

    def count(self, what: str) -> int:
        """Tell how many events are in a state, 0 if that cannot be told at present."""
        return (self.observe("waiting") or {}).get(what, 0)

    def kept(self) -> list[int]:
        """Tell where each partition ends."""
        answer: Any = self.observe("kept")
        if answer is None:
            raise self.error("Kafka does not tell what it has")
        return answer

    def group_sizes(self) -> list[int]:
        """List how many members the group of the probe had, each time it was balanced anew in this scene."""
        return [int(size) for size in re.findall(STABILIZED, self.kafka.written(self._told))]


@contextmanager
def event_site() -> Generator[EventSite]:
    """Provide a service, with empty servers, and nothing else running.

    Raises:
        NoKafkaError: If there can be no Kafka here.
        StepError: If something starts without the topics that it needs.
    """
    with tempfile.TemporaryDirectory(prefix="site-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        with broker(folder) as kafka, project("postgres", PROBE, kafka=True) as made:
            database = Postgres(made, folder)
            site = EventSite(made, folder, database, kafka)
            try:
                site.app("db", "upgrade")
                _refused_without_topics(site)
                site.app("topics", "create", "--replicas", "1")
                yield site
            finally:
                for member in site.members.values():
                    if member.process:
                        kill(member.process)
                database.stop()


def _refused_without_topics(site: EventSite) -> None:
    for command in ("consumer", "relay"):
        try:
            site.app(command)
        except StepError as refused:
            if "Create what is missing: app topics create" not in str(refused) or refused.code != 78:
                raise
        else:
            raise StepError(f"app {command} has run without the topics that it needs")

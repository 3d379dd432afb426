"""A service with events on a real Kafka. API, relays, consumers and PostgreSQL can be killed."""

import http.client
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.crashes.deployment import Deployment
from tests.crashes.project import project
from tests.crashes.servers import Postgres
from tests.kafka.broker import Broker, broker
from tests.matrix.processes import StepError
from tests.matrix.service import ask, kill

PROBE = Path(__file__).with_name("events_probe.py")
RELAYS = ("relay-1", "relay-2")
CONSUMERS = ("consumer-1", "consumer-2", "consumer-3")
STABILIZED = r"Stabilized group \S+\.probe generation \d+ .*with (\d+) members"


class EventDeployment(Deployment):
    """A service with events, and its Kafka broker."""

    idle_state: ClassVar = {"pending": 0, "dead": 0, "lag": 0}

    def __init__(self, project: Path, folder: Path, database: Postgres, kafka: Broker) -> None:
        settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.address}
        super().__init__(project, folder, database, settings, ("api", *RELAYS, *CONSUMERS))
        self.kafka = kafka
        self._log_offset = 0  # the bytes of Kafka's log that belong to earlier scenarios

    def begin_scenario(self) -> float:
        """Begin a new scenario."""
        started = super().begin_scenario()
        self._log_offset = self.kafka.log.stat().st_size
        return started

    def post(self, path: str, body: object) -> None:
        """Send a request to the observer.

        Raises:
            StepError: If it fails.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self["observer"].port, timeout=60)
        if (response := ask(connection, "POST", f"/probe/{path}", body)).status != 201:
            raise self.error(f"{path}: {response.status} {response.body.decode()}")

    def count(self, what: str) -> int:
        """Return the number of events in a state, 0 if it is not available at present."""
        return (self.observe("waiting") or {}).get(what, 0)

    def partition_ends(self) -> list[int]:
        """Return the end offset of each partition.

        Raises:
            StepError: If they are not available.
        """
        ends: Any = self.observe("ends")
        if ends is None:
            raise self.error("the end offsets of the partitions are not available")
        return ends

    def group_sizes(self) -> list[int]:
        """Return the size of the probe's consumer group after each rebalance of this scenario."""
        return [int(size) for size in re.findall(STABILIZED, self.kafka.written(self._log_offset))]


@contextmanager
def deploy_events() -> Generator[EventDeployment]:
    """Provide a service with empty servers; its own processes are not running.

    Raises:
        NoKafkaError: If Kafka is not available.
        StepError: If a command starts although its topics are missing.
    """
    with tempfile.TemporaryDirectory(prefix="deployment-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        with broker(folder) as kafka, project("postgres", PROBE, kafka=True) as rendered:
            database = Postgres(rendered, folder)
            deployment = EventDeployment(rendered, folder, database, kafka)
            try:
                deployment.app("db", "upgrade")
                _expect_topics_required(deployment)
                deployment.app("topics", "create", "--replicas", "1")
                yield deployment
            finally:
                for process in deployment.processes.values():
                    if process.process:
                        kill(process.process)
                database.stop()


def _expect_topics_required(deployment: EventDeployment) -> None:
    for command in ("consumer", "relay"):
        try:
            deployment.app("run", command)
        except StepError as refused:
            if "Create them: app topics create" not in str(refused) or refused.code != 78:
                raise
        else:
            raise StepError(f"app run {command} starts although its topics are missing")

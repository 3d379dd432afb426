"""A single Apache Kafka node: broker and controller (KRaft) on 127.0.0.1, with its own folder."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock

from tests.matrix.processes import StepError, environment
from tests.matrix.service import free_port, kill, wait_until

POM = Path(__file__).with_name("pom.xml")
START_SECONDS = 90
STOP_SECONDS = 30
DOWNLOAD_SECONDS = 600
CLUSTER = "dGVzdHMtb2YtZXZlbnRzMA"  # a UUID in the encoding of Kafka
JVM = (
    *("-Xms192m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"),
    *("-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"),
)
STARTED = "Kafka Server started"
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.index.size.max.bytes=262144
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
"""


class NoKafkaError(Exception):
    """Kafka cannot run on this machine; the message contains the reason."""


@cache
def jars() -> Path:
    """Return the folder with the JAR files of Kafka. They are downloaded once and kept in the user's cache.

    Raises:
        NoKafkaError: If Java or Maven is missing, or the download fails.
    """
    for command in ("java", "mvn"):
        if shutil.which(command) is None:
            raise NoKafkaError(f"a real Kafka needs `{command}`, which is not installed")
    pom = POM.read_bytes()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "copier-fastapi"
    folder = caches / f"kafka-{hashlib.sha256(pom).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            _download(folder)
    return folder


def _download(folder: Path) -> None:
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={unfinished}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NoKafkaError(f"the JAR files of Kafka were not downloaded within {DOWNLOAD_SECONDS} seconds") from None
    if done.returncode != 0:
        message = next((line for line in done.stdout.splitlines() if "ERROR" in line), done.stderr)
        raise NoKafkaError(f"the JAR files of Kafka cannot be downloaded: {message[:300]}")
    unfinished.rename(folder)


class Broker:
    """A broker that can be stopped, killed, and started again with its data, on the same port."""

    def __init__(self, folder: Path) -> None:
        """Create the data folder of a broker, inside `folder`.

        Raises:
            NoKafkaError: If Kafka cannot run on this machine.
            StepError: If formatting the data folder fails.
        """
        self.port, self._folder, self.log = free_port(), folder / "kafka", folder / "kafka.log"
        self.address = f"127.0.0.1:{self.port}"
        self._classes = f"{jars()}/*"
        self._properties = self._folder / "server.properties"
        self._folder.mkdir(parents=True)
        self._properties.write_text(
            PROPERTIES.format(port=self.port, controller=free_port(), data=self._folder / "data"), encoding="utf-8"
        )
        self.process: subprocess.Popen[str] | None = None
        formatting = self._run("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._properties))
        if formatting.wait(START_SECONDS) != 0:
            raise StepError(f"Kafka cannot format its folder\n{self.tail()}")

    def start(self) -> None:
        """Start the broker, and wait until it is ready.

        Raises:
            StepError: If it does not start in time.
        """
        log_size = self.log.stat().st_size
        self.process = process = self._run("kafka.Kafka", str(self._properties))
        wait_until(lambda: process.poll() is not None or STARTED in self.written(log_size), START_SECONDS)
        if process.poll() is not None or STARTED not in self.written(log_size):
            kill(process)
            raise StepError(f"Kafka did not start\n{self.tail()}")

    def stop(self) -> None:
        """Stop the broker; kill it if it does not stop in time."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            wait_until(lambda: self.process is None or self.process.poll() is not None, STOP_SECONDS)
        kill(self.process)

    def kill(self) -> None:
        """Kill the broker without a clean shutdown, like a power failure."""
        if self.process is not None:
            kill(self.process)

    def outage(self, seconds: float) -> None:
        """Kill the broker, and start it again after some seconds."""
        self.kill()
        time.sleep(seconds)
        self.start()

    def written(self, since: int = 0) -> str:
        """Return the log from a byte offset on."""
        return self.log.read_bytes()[since:].decode(errors="replace")

    def tail(self) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.written().splitlines()[-20:])

    def _run(self, main: str, *arguments: str) -> subprocess.Popen[str]:
        with self.log.open("a", encoding="utf-8") as output:
            return subprocess.Popen(
                ["java", *JVM, "-cp", self._classes, main, *arguments],
                cwd=self._folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )


@contextmanager
def broker(folder: Path) -> Generator[Broker]:
    """Run a broker during the block.

    Raises:
        NoKafkaError: If Kafka cannot run on this machine.
        StepError: If it does not start.
    """
    made = Broker(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()

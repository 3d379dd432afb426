"""Where the tests get their database from."""

from pathlib import Path


def create_database(folder: Path, name: str) -> str:
    """Name an empty file and return its URL."""
    return f"sqlite+aiosqlite:///{folder / name}.db"

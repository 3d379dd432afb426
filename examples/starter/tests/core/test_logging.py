"""Logging: format, levels and secrets."""

import json
import logging
import warnings
from collections.abc import Generator

import pytest
import structlog

from app.core.config import Environment, Settings
from app.core.logging import configure_logging, named_process


@pytest.fixture(autouse=True)
def _restore_logging() -> Generator[None]:
    logging.captureWarnings(False)
    yield
    logging.captureWarnings(False)
    structlog.reset_defaults()


def read_log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """Return the lines of standard error, parsed as JSON objects."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_all_lines_are_json_in_production(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(env=Environment.PROD))
    structlog.get_logger("ours").info("structured", user="Ada")
    for name in ("uvicorn.error", "sqlalchemy.engine", "alembic.runtime.migration"):
        logging.getLogger(name).warning("%s says\nhello", name)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", UserWarning, stacklevel=1)

    written = read_log_lines(capsys)
    assert [line["logger"] for line in written] == [
        *("ours", "uvicorn.error", "sqlalchemy.engine", "alembic.runtime.migration", "py.warnings"),
    ]
    assert written[0] | {"timestamp": ""} == {
        "event": "structured",
        "user": "Ada",
        "logger": "ours",
        "level": "info",
        "timestamp": "",
    }
    assert list(written[0]) == ["timestamp", "level", "event", "logger", "user"]
    assert written[1]["event"] == "uvicorn.error says\nhello"


def test_traceback_does_not_show_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(env=Environment.PROD))

    def fail(password: str) -> None:
        raise RuntimeError("broken")

    try:
        fail("hunter" + str(2))
    except RuntimeError:
        structlog.get_logger().exception("failed")

    [line] = read_log_lines(capsys)
    assert "RuntimeError: broken" in str(line["exception"])
    assert "hunter2" not in json.dumps(line)


@pytest.mark.parametrize(("force", "colored"), [("1", True), ("", False)])
def test_lines_are_readable_in_development(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, force: str, colored: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", force)
    monkeypatch.setattr("app.core.logging.hidden_on_console", {"hidden"})
    configure_logging(Settings(env=Environment.DEV))
    structlog.get_logger("ours").info("hello", second=2, first=1, hidden="00-af")
    logging.getLogger("theirs").info("again", extra={"color_message": "twice"})

    written = capsys.readouterr().err
    assert "hello" in written
    assert "twice" not in written
    assert "hidden" not in written
    assert written.index("second") < written.index("first")
    assert ("\x1b[" in written) is colored


def test_alembic_logs_only_migrations(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(env=Environment.PROD))
    for message in ("Context impl %s.", "Will assume %s DDL.", "Running %s"):
        logging.getLogger("alembic.runtime.migration").info(message, "it")

    assert [line["event"] for line in read_log_lines(capsys)] == ["Running it"]


def test_lines_of_a_named_process_have_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(env=Environment.PROD))
    with named_process("relay"):
        structlog.get_logger("ours").info("inside")
        logging.getLogger("theirs").info("inside")
    structlog.get_logger("ours").info("outside")

    assert [line.get("process") for line in read_log_lines(capsys)] == ["relay", "relay", None]


def test_log_level_is_configurable(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(env=Environment.PROD, log_level="WARNING"))
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")

    assert [line["event"] for line in read_log_lines(capsys)] == ["loud"]


def test_uvicorn_handlers_are_removed(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler())
    configure_logging(Settings(env=Environment.PROD))
    logging.getLogger("uvicorn").info("once")
    logging.getLogger("uvicorn.access").info("never")

    assert [line["event"] for line in read_log_lines(capsys)] == ["once"]

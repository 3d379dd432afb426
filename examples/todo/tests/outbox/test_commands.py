"""Commands for the outbox and for dead letters."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.outbox import commands
from app.outbox.models import OutboxMessage
from app.outbox.repository import OutboxRepository
from tests.command_line import run_command
from tests.outbox.conftest import commit_messages, make_message, outbox_rows


def make_dead_letter(name: str, **fields: Any) -> OutboxMessage:
    """A dead letter."""
    values = {
        "attempts": 10,
        "sent_at": utc_now(),
        "dead_at": utc_now(),
        "last_error": "RuntimeError: no\nluck",
    } | fields
    return make_message(name, **values)


@pytest.fixture
async def database_with_dead_letters(empty_database: Database) -> Database:
    """Two dead letters, and one pending message."""
    fields: dict[str, Any] = {"payload": '{"email": "ada@example.com"}', "key": "a", "request_id": "abc"}
    await commit_messages(
        empty_database, make_dead_letter("welcome", **fields), make_dead_letter("remind"), make_message("pending")
    )
    return empty_database


async def test_status_shows_counts_and_ages(empty_database: Database) -> None:
    now = utc_now()

    def due_ago(**time: float) -> dict[str, Any]:
        return {"due_at": now - timedelta(**time)}

    await commit_messages(
        empty_database,
        make_message("pending", **due_ago(days=2)),
        make_message("later", **due_ago(seconds=1), next_attempt_at=now + timedelta(hours=1)),
        make_message("sent", **due_ago(hours=3), sent_at=now),
        make_message("running", **due_ago(minutes=5), sent_at=now, leased_until=now),
        make_dead_letter("dead", destination="archive", **due_ago(seconds=0)),
        make_message("other", destination="search", **due_ago(days=1)),
    )
    lines = run_command("outbox", "status").output.splitlines()

    assert [line.split()[:3] for line in lines] == [
        ["archive", "dead", "1"],
        ["search", "pending", "1"],
        ["workers", "pending", "2"],
        ["workers", "sent", "1"],
        ["workers", "running", "1"],
    ]
    assert lines[0].endswith(" s")
    assert [line.partition("oldest: ")[2] for line in lines[1:]] == ["1 d", "2 d", "3 h", "5 min"]


async def test_counts_are_from_one_statement(empty_database: Database) -> None:
    """Several statements see different snapshots, and could miss a message whose state changes in between."""
    statements: list[str] = []
    async with transaction(empty_database.write) as session:
        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
        await OutboxRepository(session).count_messages()

    assert len(statements) == 1


def test_status_of_empty_outbox(empty_database: Database) -> None:
    assert run_command("outbox", "status").output == "The outbox is empty.\n"


async def test_dead_letters_are_listed_without_their_arguments(database_with_dead_letters: Database) -> None:
    [welcome, remind, _] = await outbox_rows(database_with_dead_letters)
    result = run_command("dead-letters", "list")

    assert result.output.splitlines() == [
        f"{row.id}  {row.dead_at:%Y-%m-%d %H:%M}  workers    {row.name}  RuntimeError: no luck"
        for row in (welcome, remind)
    ]
    assert len(run_command("dead-letters", "list", "--limit", 1).output.splitlines()) == 1


async def test_show_prints_all_fields(database_with_dead_letters: Database) -> None:
    [welcome, remind, pending] = await outbox_rows(database_with_dead_letters)
    shown = run_command("dead-letters", "show", welcome.id).output
    for expected in ("welcome", "ada@example.com", "abc", "RuntimeError: no\nluck", f"{welcome.id}"):
        assert expected in shown
    assert "key:         -" in run_command("dead-letters", "show", remind.id).output

    not_found = run_command("dead-letters", "show", pending.id)
    assert not_found.exit_code == 1
    assert not_found.stderr == f"No dead letter with the id {pending.id}.\n"


async def test_replay_resets_attempts(database_with_dead_letters: Database) -> None:
    [welcome, *_] = await outbox_rows(database_with_dead_letters)
    result = run_command("dead-letters", "replay", welcome.id)

    assert (result.exit_code, result.output) == (0, "1 will be retried\n")
    [welcome, remind, _] = await outbox_rows(database_with_dead_letters)
    assert (welcome.dead_at, welcome.sent_at, welcome.attempts) == (None, None, 0)
    assert remind.dead_at is not None


async def test_dead_letter_rejected_by_replay_check_is_not_replayed(
    database_with_dead_letters: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [lambda *_: None, lambda destination, queue: f"{destination} {queue} is closed."]
    monkeypatch.setattr(commands, "replay_checks", checks)
    [welcome, *_] = await outbox_rows(database_with_dead_letters)
    result = run_command("dead-letters", "replay", welcome.id)

    assert (result.exit_code, result.stderr) == (1, f"{welcome.destination} {welcome.queue} is closed.\n")
    [welcome, *_] = await outbox_rows(database_with_dead_letters)
    assert welcome.dead_at is not None


async def test_drop_deletes_dead_letter(database_with_dead_letters: Database) -> None:
    [_, remind, _] = await outbox_rows(database_with_dead_letters)
    result = run_command("dead-letters", "drop", remind.id, remind.id)

    assert (result.exit_code, result.output) == (0, "1 deleted\n")
    assert [row.name for row in await outbox_rows(database_with_dead_letters)] == ["welcome", "pending"]


@pytest.mark.parametrize(
    ("command", "remaining"), [("replay", ["welcome", "remind", "pending"]), ("drop", ["pending"])]
)
async def test_all_selects_every_dead_letter(
    database_with_dead_letters: Database, command: str, remaining: list[str]
) -> None:
    assert run_command("dead-letters", command, "--all").output.startswith("2 ")
    assert [row.name for row in await outbox_rows(database_with_dead_letters)] == remaining
    assert run_command("dead-letters", "list").output == ""
    assert run_command("dead-letters", command, "--all").exit_code == 0, "an empty selection is no error"


@pytest.mark.parametrize("command", ["replay", "drop"])
async def test_pending_messages_are_not_changed(database_with_dead_letters: Database, command: str) -> None:
    [welcome, _, pending] = await outbox_rows(database_with_dead_letters)
    result = run_command("dead-letters", command, welcome.id, pending.id, uuid4())

    assert result.exit_code == 1
    assert result.stdout.startswith("1 ")
    assert result.stderr == "The other ids are not dead letters.\n"
    assert "pending" in [row.name for row in await outbox_rows(database_with_dead_letters)]


@pytest.mark.parametrize("command", ["replay", "drop"])
@pytest.mark.parametrize("arguments", [[], [UUID(int=1), "--all"]])
def test_ids_or_all_are_required(empty_database: Database, command: str, arguments: list[object]) -> None:
    result = run_command("dead-letters", command, *arguments)

    assert (result.exit_code, result.stderr) == (2, "Pass one or more IDs, or --all.\n")


@pytest.mark.parametrize("command", [("outbox", "status"), ("dead-letters", "list"), ("dead-letters", "drop", "--all")])
def test_invalid_settings_are_reported_without_values(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "hunter2")
    result = run_command(*command)

    assert result.exit_code == 78
    assert "DATABASE_URL: is not a URL" in result.stderr
    assert "hunter2" not in result.output

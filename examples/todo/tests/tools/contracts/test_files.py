"""Published event schemas are in files, and the code must be compatible with them."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs
import pytest
import yaml
from polyfactory.factories import DataclassFactory
from pydantic import Field
from sqlmodel.ext.asyncio.session import AsyncSession
from typer.testing import CliRunner, Result

from app.core.events import Event
from app.db.base import utc_now
from app.messaging import contracts, publisher
from app.messaging.consumers import Consumer
from app.messaging.contracts import Topic
from app.messaging.envelope import CloudEvent
from app.outbox.models import OutboxMessage
from tests.tools.contracts.conftest import EVENT_NAME, ReplaceContracts, make_event
from tools.contracts import asyncapi, files, schemas
from tools.contracts.__main__ import cli


class EventFactory(DataclassFactory[Any]):
    """Creates events with random values."""

    __is_base_factory__ = True

    @classmethod
    def get_provider_map(cls) -> dict[Any, Callable[[], Any]]:
        return super().get_provider_map() | {datetime: utc_now}


@pytest.fixture
def contracts_folder(tmp_path: Path, replace_contracts: ReplaceContracts) -> Path:
    """Files with a published schema that matches the code."""
    replace_contracts(("size", int))
    contracts_folder = tmp_path / "contracts"
    assert run("write", contracts_folder).exit_code == 0
    return contracts_folder


def run(command: str, contracts_folder: Path) -> Result:
    return CliRunner().invoke(cli, [command, "--folder", str(contracts_folder)])


def test_schema_files_match_the_code(project: Path) -> None:
    command = [sys.executable, "-m", "tools.contracts", "check"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert result.stdout == "all files are up to date\n"


def test_write_creates_current_files(tmp_path: Path, replace_contracts: ReplaceContracts) -> None:
    replace_contracts()
    missing = run("check", tmp_path / "new")
    assert missing.exit_code == 1
    assert f"{tmp_path / 'new' / EVENT_NAME}.json does not exist\n" in missing.output
    assert "uv run just contracts-write" in missing.output

    written = run("write", tmp_path / "new")
    names = ["cloudevent.json", f"{EVENT_NAME}.json", "asyncapi.yaml"]
    assert written.output.splitlines() == [f"written: {tmp_path / 'new' / name}" for name in names]
    for command in ("check", "write"):
        again = run(command, tmp_path / "new")
        assert (again.exit_code, again.output) == (0, "all files are up to date\n")


def test_formatting_of_files_is_ignored(contracts_folder: Path) -> None:
    for path in contracts_folder.iterdir():
        path.write_text(json.dumps(files._read(path), ensure_ascii=False), encoding="utf-8")
    assert run("check", contracts_folder).exit_code == 0


def test_addition_is_shown_and_written(contracts_folder: Path, replace_contracts: ReplaceContracts) -> None:
    replace_contracts(("size", int), ("note", str, ""))

    shown = run("check", contracts_folder)
    assert shown.exit_code == 1
    assert '+    "note"' in shown.output
    assert run("write", contracts_folder).output == f"written: {contracts_folder / EVENT_NAME}.json\n"
    assert run("check", contracts_folder).exit_code == 0


@pytest.mark.parametrize(
    ("fields", "changed", "message"),
    [
        ([], {}, "size: was removed"),
        ([("size", str)], {}, 'size: type was "integer", is "string"'),
        ([("size", Literal[1, 2])], {}, "size: enum was not set, is [1, 2]"),
        ([("size", int), ("note", str)], {}, "note: is new and needs a default"),
        ([("size", int)], {"topic": "others"}, 'event: x-topic was "things", is "others"'),
        ([("size", int)], {"key": "size"}, 'event: x-key was "thing_id", is "size"'),
    ],
)
def test_breaking_change_is_rejected(
    contracts_folder: Path,
    replace_contracts: ReplaceContracts,
    fields: list[Any],
    changed: dict[str, str],
    message: str,
) -> None:
    before = {path: path.read_bytes() for path in contracts_folder.iterdir()}
    replace_contracts(*fields, **changed)

    for command in ("check", "write"):
        result = run(command, contracts_folder)
        assert result.exit_code == 1
        assert f"Breaking change of {EVENT_NAME}:\n  {message}" in result.output
        assert "Keep Happened unchanged" in result.output
        assert '"thing.happened.v2"' in result.output
    assert {path: path.read_bytes() for path in contracts_folder.iterdir()} == before


def test_removed_contract_is_rejected(contracts_folder: Path, replace_contracts: ReplaceContracts) -> None:
    replace_contracts(name="thing.happened.v2")

    result = run("write", contracts_folder)
    assert result.exit_code == 1
    assert f"Breaking change of {EVENT_NAME}" in result.output
    assert f"delete {contracts_folder / EVENT_NAME}.json." in result.output
    (contracts_folder / f"{EVENT_NAME}.json").unlink()
    assert run("write", contracts_folder).exit_code == 0


def test_envelope_must_not_change(contracts_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ChangedEnvelope(CloudEvent):
        subject: str = Field(max_length=5)
        dataschema: str = ""

    monkeypatch.setattr(schemas, "CloudEvent", ChangedEnvelope)
    result = run("write", contracts_folder)
    assert result.exit_code == 1
    assert "  subject: maxLength was not set, is 5\nThe envelope of all events" in result.output


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n{}", "[]"])
def test_unreadable_schema_is_reported(contracts_folder: Path, text: str) -> None:
    (contracts_folder / f"{EVENT_NAME}.json").write_text(text, encoding="utf-8")
    for command in ("check", "write"):
        result = run(command, contracts_folder)
        assert result.exit_code == 1
        assert f"{contracts_folder / EVENT_NAME}.json is not " in result.output
        assert f"git restore {contracts_folder / EVENT_NAME}.json" in result.output


def test_asyncapi_document_is_regenerated_after_merge_conflict(contracts_folder: Path) -> None:
    document = contracts_folder / "asyncapi.yaml"
    document.write_text(
        f"<<<<<<< HEAD\n{document.read_text(encoding='utf-8')}=======\n>>>>>>> main\n", encoding="utf-8"
    )

    assert run("check", contracts_folder).exit_code == 1
    assert run("write", contracts_folder).output == f"written: {document}\n"


def test_asyncapi_document_lists_senders_and_receivers(replace_contracts: ReplaceContracts) -> None:
    wanted = replace_contracts()
    contracts.contract(make_event("Ignored"), "thing.ignored.v1", wanted.topic, key="thing_id")
    contracts.contract(make_event("Unrelated"), "other.happened.v1", Topic("others"), key="thing_id")

    @Consumer("counts").on(wanted.event)
    async def count(session: AsyncSession, event: Event) -> None: ...

    operations = asyncapi.document()["operations"]
    assert {name: (each["action"], message_references(each)) for name, each in operations.items()} == {
        "send-others": ("send", ["#/channels/others/messages/other.happened.v1"]),
        "send-things": ("send", [f"#/channels/things/messages/{name}" for name in (EVENT_NAME, "thing.ignored.v1")]),
        "counts-things": ("receive", [f"#/channels/things/messages/{EVENT_NAME}"]),
    }


def message_references(operation: dict[str, Any]) -> list[str]:
    return [each["$ref"] for each in operation["messages"]]


def test_events_of_other_services_are_described_but_not_published(
    tmp_path: Path, replace_contracts: ReplaceContracts
) -> None:
    made = replace_contracts()
    paid = contracts.contract(
        make_event("Paid", ("total", int)), "order.paid.v1", Topic("orders", owned=False), key="thing_id"
    )

    @Consumer("test").on_batch(made.event, paid.event)
    async def handle_all(_: AsyncSession, __: Sequence[Event]) -> None: ...

    files.write(tmp_path)
    document = yaml.safe_load((tmp_path / "asyncapi.yaml").read_text(encoding="utf-8"))

    assert sorted(path.stem for path in tmp_path.glob("*.json")) == [schemas.ENVELOPE, EVENT_NAME]
    assert set(document["operations"]) == {"send-things", "test-things", "test-orders"}
    [message] = document["channels"]["orders"]["messages"].values()
    described = json.dumps(document["components"]["messages"]["order.paid.v1"] if "$ref" in message else message)
    assert '"total"' in described
    assert "order.paid.v1.json" not in described


async def test_sent_messages_match_published_schemas(session: AsyncSession, project: Path) -> None:
    for path in (project / files.FOLDER).glob("*.v*.json"):
        made = contracts.contract_by_type(path.stem)
        happened = EventFactory.create_factory(made.event).build()
        await publisher.publish_to_outbox(session, happened)

        [row] = [each for each in session.new if isinstance(each, OutboxMessage) and each.id == happened.event_id]
        document = yaml.safe_load((project / files.FOLDER / "asyncapi.yaml").read_text(encoding="utf-8"))
        message = document["components"]["messages"][made.type]
        validate_message(project, message["payload"], json.loads(row.payload))
        assert f"#/components/messages/{made.type}" in str(document["channels"][row.queue])
        with pytest.raises(jsonschema_rs.ValidationError, match="is a required property"):
            validate_message(project, message["payload"], json.loads(row.payload) | {"data": {}})


def validate_message(project: Path, schema: dict[str, Any], message: Any) -> None:
    """Validate a message as other services do, which have only the files."""
    base = f"{(project / files.FOLDER).as_uri()}/"
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True, base_uri=base).validate(message)

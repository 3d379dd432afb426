"""Published event schemas in files: a JSON Schema for each event, and an AsyncAPI document of all.

The code declares the contracts (`contracts.py`). The files are committed, and the code is compared
with them. `docs/contracts/README.md` explains what to do when they differ.
"""

import json
from dataclasses import MISSING, fields
from difflib import unified_diff
from pathlib import Path
from typing import Any

import yaml

from app.messaging import asyncapi, contracts
from app.messaging.compatibility import Schema, breaking_changes
from app.messaging.contracts import ENVELOPE_FIELDS, Contract
from app.messaging.envelope import CloudEvent

FOLDER = Path("docs/contracts/events")
ENVELOPE_NAME = "cloudevent"
DOCUMENT = "asyncapi.yaml"
RESTORE_HINT = "It is a published schema. Fix it, or restore it: git restore"


class InvalidSchemaFile(Exception):
    """A schema file cannot be read."""


class BreakingChange(Exception):
    """The code is not compatible with a published schema."""


def check(folder: Path) -> str:
    """Return a diff between the files and the code; empty if they match.

    Raises:
        BreakingChange: If a change is not compatible.
        InvalidSchemaFile: If a file cannot be read.
    """
    _check_compatibility(folder)
    return "".join(_difference(folder / name, _read(folder / name), content) for name, content in _current().items())


def write(folder: Path) -> list[Path]:
    """Write the outdated files, and return their paths.

    Raises:
        BreakingChange: If a change is not compatible. No file is written then.
        InvalidSchemaFile: If a file cannot be read.
    """
    _check_compatibility(folder)
    written = []
    for name, content in _current().items():
        if _read(folder / name) != content:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(_text(folder / name, content), encoding="utf-8")
            written.append(folder / name)
    return written


def schemas() -> dict[str, Schema]:
    """Return the schemas of the envelope and of each event's data, by file name."""
    return {ENVELOPE_NAME: _envelope()} | {made.type: _data(made) for made in contracts.published_contracts()}


def _current() -> dict[str, Any]:
    return {f"{name}.json": schema for name, schema in schemas().items()} | {DOCUMENT: asyncapi.document(ENVELOPE_NAME)}


def _envelope() -> Schema:
    """Return the schema of the envelope. Attributes without a value are not written; all others are required."""
    written = [name for name, field in CloudEvent.model_fields.items() if field.default is not None]
    schema = CloudEvent.model_json_schema(mode="serialization") | {"required": written}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": ENVELOPE_NAME, **schema}


def _data(contract: Contract[Any]) -> Schema:
    """Return the schema of the data, with topic and key, which are part of the contract."""
    return contract.schema() | {"x-topic": contract.topic.name, "x-key": contract.key}


def _check_compatibility(folder: Path) -> None:
    """Reject breaking changes.

    Raises:
        BreakingChange: If there are any.
    """
    broken = []
    for path in sorted(folder.glob("*.json")):
        promised = _read(path)
        if path.stem == ENVELOPE_NAME:
            needed = [name for name, field in CloudEvent.model_fields.items() if field.is_required()]
            found = breaking_changes(promised, _envelope(), needed)
            advice = "The envelope of all events must not change. Add new fields to the event data instead."
        elif path.stem in {made.type for made in contracts.published_contracts()}:
            contract = contracts.contract_by_type(path.stem)
            found, advice = breaking_changes(promised, _data(contract), _required_fields(contract)), _advice(contract)
        else:
            found = ["its contract was removed"]
            advice = f"Restore the contract. If no service reads these events any more, delete {path}."
        if found:
            broken.append("\n  ".join([f"Breaking change of {path.stem}:", *found]) + f"\n{advice}")
    if broken:
        raise BreakingChange("\n\n".join(broken))


def _required_fields(contract: Contract[Any]) -> set[str]:
    declared = [each for each in fields(contract.event) if each.name not in ENVELOPE_FIELDS]
    return {each.name for each in declared if each.default is MISSING and each.default_factory is MISSING}


def _advice(contract: Contract[Any]) -> str:
    name, _, version = contract.type.rpartition(".v")
    following = f"{name}.v{int(version) + 1}" if version.isdigit() else f"{contract.type}.v2"
    return (
        f"Keep {contract.event.__name__} unchanged, and add a class for the new version, with a separate contract:\n"
        f'"{following}". Publish both until no service reads {contract.type} any more.'
    )


def _read(path: Path) -> Any:
    """Return the contents of a file, or None if it does not exist.

    Raises:
        InvalidSchemaFile: If it is a schema that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    except FileNotFoundError:
        return None
    except yaml.YAMLError:  # such as after a merge; it contains no published schema, so it can be generated again
        return {}
    except ValueError as error:
        raise InvalidSchemaFile(f"{path} is not JSON: {error}\n{RESTORE_HINT} {path}") from error
    if not isinstance(content, dict):
        raise InvalidSchemaFile(f"{path} is not a JSON Schema of an object.\n{RESTORE_HINT} {path}")
    return content


def _text(path: Path, content: Any) -> str:
    if path.suffix == ".json":
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    heading = "# Events that this service sends and receives. Generated by `app contracts write`.\n"
    return heading + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def _difference(path: Path, old: Any, new: Any) -> str:
    if old is None:
        return f"{path} does not exist\n"
    before, after = (_text(path, content).splitlines(keepends=True) for content in (old, new))
    return "".join(unified_diff(before, after, f"{path} (committed)", f"{path} (code)"))

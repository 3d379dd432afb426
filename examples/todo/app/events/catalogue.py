"""What was promised about events, in files: a JSON Schema for each, and an AsyncAPI document about all.

The code makes the promise (`contracts.py`), the files keep it: they are committed, and what
the code says today is compared with them. `docs/contracts/README.md` says what to do when.
"""

import json
from dataclasses import MISSING, fields
from difflib import unified_diff
from pathlib import Path
from typing import Any

import yaml

from app.events import asyncapi, contracts
from app.events.additions import Schema, refusals
from app.events.contracts import ENVELOPE, Contract
from app.events.envelope import CloudEvent

FOLDER = Path("docs/contracts/events")
ENVELOPE_NAME = "cloudevent"
DOCUMENT = "asyncapi.yaml"
RESTORE = "It holds what was promised, so put it right, or restore it: git restore"


class UnusableFile(Exception):
    """A file with a promise cannot be read."""


class NotAnAddition(Exception):
    """The code no longer keeps what was promised."""


def check(folder: Path) -> str:
    """Return what is to change in the files so that they say what the code says; nothing, if they do.

    Raises:
        NotAnAddition: If that would break a promise.
        UnusableFile: If a file cannot be read.
    """
    _refuse(folder)
    return "".join(_difference(folder / name, _read(folder / name), content) for name, content in _current().items())


def write(folder: Path) -> list[Path]:
    """Bring the files up to date, and return those that were not.

    Raises:
        NotAnAddition: If that would break a promise. No file is written then.
        UnusableFile: If a file cannot be read.
    """
    _refuse(folder)
    written = []
    for name, content in _current().items():
        if _read(folder / name) != content:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(_text(folder / name, content), encoding="utf-8")
            written.append(folder / name)
    return written


def schemas() -> dict[str, Schema]:
    """Return the schemas by the names of their files: one of the envelope, and one of the data of each event."""
    return {ENVELOPE_NAME: _envelope()} | {made.type: _data(made) for made in contracts.promised()}


def _current() -> dict[str, Any]:
    return {f"{name}.json": schema for name, schema in schemas().items()} | {DOCUMENT: asyncapi.document(ENVELOPE_NAME)}


def _envelope() -> Schema:
    """Describe the envelope. What has no value is not written, and every other attribute is."""
    written = [name for name, field in CloudEvent.model_fields.items() if field.default is not None]
    schema = CloudEvent.model_json_schema(mode="serialization") | {"required": written}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": ENVELOPE_NAME, **schema}


def _data(contract: Contract[Any]) -> Schema:
    """Describe the data. Where they go and what keeps their order is promised as well."""
    return contract.schema() | {"x-topic": contract.topic.name, "x-key": contract.key}


def _refuse(folder: Path) -> None:
    """Let nothing pass that breaks a promise.

    Raises:
        NotAnAddition: If something does.
    """
    broken = []
    for path in sorted(folder.glob("*.json")):
        promised = _read(path)
        if path.stem == ENVELOPE_NAME:
            needed = [name for name, field in CloudEvent.model_fields.items() if field.is_required()]
            found = refusals(promised, _envelope(), needed)
            advice = "It is the envelope of all events, so it stays as it is: what is new belongs into their data."
        elif path.stem in {made.type for made in contracts.promised()}:
            contract = contracts.named(path.stem)
            found, advice = refusals(promised, _data(contract), _without_default(contract)), _advice(contract)
        else:
            found = ["there is no contract about it any more"]
            advice = f"Put the contract back. Or, when nobody reads such events any more, delete {path}."
        if found:
            broken.append(
                "\n  ".join([f"{path.stem} was promised, and the code does not keep it:", *found]) + f"\n{advice}"
            )
    if broken:
        raise NotAnAddition("\n\n".join(broken))


def _without_default(contract: Contract[Any]) -> set[str]:
    declared = [each for each in fields(contract.event) if each.name not in ENVELOPE]
    return {each.name for each in declared if each.default is MISSING and each.default_factory is MISSING}


def _advice(contract: Contract[Any]) -> str:
    name, _, version = contract.type.rpartition(".v")
    following = f"{name}.v{int(version) + 1}" if version.isdigit() else f"{contract.type}.v2"
    return (
        f"Leave {contract.event.__name__} as it was, and add a class for what is to be different, with a contract\n"
        f'of its own: "{following}". Publish both until nobody reads {contract.type} any more.'
    )


def _read(path: Path) -> Any:
    """Return what a file says, or nothing if it is not there.

    Raises:
        UnusableFile: If it is a promise that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    except FileNotFoundError:
        return None
    except yaml.YAMLError:  # after a merge, say; no promise is lost with it, so it is just written again
        return {}
    except ValueError as error:
        raise UnusableFile(f"{path} is not JSON: {error}\n{RESTORE} {path}") from error
    if not isinstance(content, dict):
        raise UnusableFile(f"{path} is not a JSON Schema of an object.\n{RESTORE} {path}")
    return content


def _text(path: Path, content: Any) -> str:
    if path.suffix == ".json":
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    heading = "# What leaves this service and what it listens to. Written by `app contracts write`.\n"
    return heading + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def _difference(path: Path, old: Any, new: Any) -> str:
    if old is None:
        return f"{path} is not there yet\n"
    before, after = (_text(path, content).splitlines(keepends=True) for content in (old, new))
    return "".join(unified_diff(before, after, f"{path} (committed)", f"{path} (code)"))

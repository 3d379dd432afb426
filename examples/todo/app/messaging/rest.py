"""The published OpenAPI document of the routes, to find breaking changes.

Every service has different routes, so the template contains no such file. Routes are unchecked
until it is written for the first time: `app contracts write --routes`.
"""

import json
from difflib import unified_diff
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from app.messaging.rest_additions import refusals
from app.messaging.schemas import RESTORE_HINT, BreakingChange, InvalidSchemaFile

Document = dict[str, Any]

ADVICE = (
    "Keep the route unchanged, and add the new behavior: an optional field, a new route, or all routes under /api/v2.\n"
    "When no client uses the old route any more, delete the file, and generate it again."
)


def file(folder: Path) -> Path:
    """Return the path of the document, next to the `folder` of the event schemas."""
    return folder.parent / "rest/openapi.json"


def describe() -> Document:
    """Return the OpenAPI document of the current routes, without the release version."""
    # Imported by name, as for processes: commands are in a lower layer than the app that they start.
    document: Document = resolve_name("app.main:create_app")().openapi()
    return document | {"info": document["info"] | {"version": "1"}}


def check(path: Path, current: Document) -> str:
    """Return a diff between the file and the code; empty if they match or there is no file.

    Raises:
        BreakingChange: If the change is not compatible.
        InvalidSchemaFile: If the file cannot be read.
    """
    promised = _read(path)
    if promised is None:
        return ""
    if found := refusals(promised, current):
        lines = "\n  ".join(["Breaking changes of published routes:", *found])
        raise BreakingChange(f"{lines}\n{ADVICE}")
    before, after = (_text(document).splitlines(keepends=True) for document in (promised, current))
    return "".join(unified_diff(before, after, f"{path} (committed)", f"{path} (code)"))


def write(path: Path, current: Document) -> None:
    """Write the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(current), encoding="utf-8")


def _read(path: Path) -> Document | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InvalidSchemaFile(f"{path} is not JSON: {error}\n{RESTORE_HINT} {path}") from error
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise InvalidSchemaFile(f"{path} is not an OpenAPI document.\n{RESTORE_HINT} {path}")
    return document


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

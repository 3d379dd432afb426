"""What was promised about the routes, in a file: an OpenAPI document.

The routes depend on what a service has become, so no file comes with the template. Nothing is
promised until it is written for the first time: `app contracts write --routes`.
"""

import json
from difflib import unified_diff
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from app.events.catalogue import RESTORE, NotAnAddition, UnusableFile
from app.events.rest_additions import refusals

Document = dict[str, Any]

ADVICE = (
    "Leave the route as it was, and add what is to be different: a field that need not be given, a route beside it,\n"
    "or all of them under /api/v2. When nobody calls the old one any more, delete the file, and write it again."
)


def file(folder: Path) -> Path:
    """Return where the promise is, beside the `folder` of those about events."""
    return folder.parent / "rest/openapi.json"


def describe() -> Document:
    """Describe the routes as they are, whatever the release."""
    # By name, as processes are: commands stand on a lower floor than the app that they start.
    document: Document = resolve_name("app.main:create_app")().openapi()
    return document | {"info": document["info"] | {"version": "1"}}


def check(path: Path, current: Document) -> str:
    """Return what is to change in the file; nothing, if there is none, or it says what the code says.

    Raises:
        NotAnAddition: If that would break a promise.
        UnusableFile: If the file cannot be read.
    """
    promised = _read(path)
    if promised is None:
        return ""
    if found := refusals(promised, current):
        lines = "\n  ".join(["Routes were promised, and the code does not keep it:", *found])
        raise NotAnAddition(f"{lines}\n{ADVICE}")
    before, after = (_text(document).splitlines(keepends=True) for document in (promised, current))
    return "".join(unified_diff(before, after, f"{path} (committed)", f"{path} (code)"))


def write(path: Path, current: Document) -> None:
    """Bring the file up to date, or make it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(current), encoding="utf-8")


def _read(path: Path) -> Document | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UnusableFile(f"{path} is not JSON: {error}\n{RESTORE} {path}") from error
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise UnusableFile(f"{path} is no description of routes.\n{RESTORE} {path}")
    return document


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

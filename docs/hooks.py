"""MkDocs hooks: compare the code of the tutorial with the tested "Add a module" guide, and include the root pages."""  # noqa: INP001 - MkDocs loads the file by its path

import re
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "template/docs/add-a-module.md.jinja"

# As in copier.yml. The tutorial uses the default answers; the code of the guide only depends on this one.
JINJA = Environment(  # noqa: S701 - no HTML
    block_start_string="# {%", trim_blocks=True, lstrip_blocks=True, undefined=ChainableUndefined
)
ANSWERS = {"auth": "jwt"}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Include the root pages, and fail if the tutorial's code differs from the "Add a module" guide."""
    if page.file.src_uri == "tutorial.md":
        ours, theirs = _files(markdown), _files(JINJA.from_string(GUIDE.read_text(encoding="utf-8")).render(ANSWERS))
        if different := [file for file in ours.keys() | theirs.keys() if ours.get(file) != theirs.get(file)]:
            raise PluginError(f"tutorial.md and {GUIDE.relative_to(ROOT)} differ in {', '.join(sorted(different))}")
    if page.file.src_uri in {"contributing.md", "changelog.md"}:  # included from the repository root
        return (ROOT / page.file.src_uri.upper().replace(".MD", ".md")).read_text("utf-8").replace("](docs/", "](")
    return markdown


def _files(markdown: str) -> dict[str, list[str]]:
    """Return the code blocks with a file name as title, by file."""
    files: dict[str, list[str]] = {}
    for title, body in re.findall(r'^```python title="(.+?)"\n(.*?)^```$', markdown, re.MULTILINE | re.DOTALL):
        files.setdefault(title, []).append(body)
    return files

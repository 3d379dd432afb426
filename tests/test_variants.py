"""Every variant, rendered: complete, consistent, formatted. Nothing is installed here; see test_execution.py."""

import ast
import html
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.matrix.variants import Variant, variants
from tests.projects import distribution, env_keys, files, imports, packages, requirements, services
from tests.questionnaire import asked, resolve
from tests.rendering import Answers, recorded_answers, working_tree

AWKWARD = {
    "chinese": "待办事项服务",
    "quotes": """The "best" one's `own` '''service''' \"\"\"ever\"\"\"""",
    "emoji": "🚀 Rocket 👩‍🚀 ½",
    "backslash": r"C:\new\table \N{DASH} \u0041 \\",
    "markup": "<b>& #1: {{ x }} ${y} %s [link](x) *a* | - @",
    "longest": "Two hundred characters " + "x" * 177,
}
PROJECTS = [*variants(), *(Variant(f"called-{name}", {"project_name": text}) for name, text in AWKWARD.items())]

# Imported in development only, where the group `dev` is installed.
DEVELOPMENT_ONLY = {Path("app/db/embedded.py"), Path("app/mail/catcher.py")}

Render = Callable[[Answers], Path]


@pytest.fixture(params=PROJECTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param


@pytest.fixture
def project(variant: Variant, render: Render) -> Path:
    return render(variant.answers)


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def test_answers_are_recorded_and_nothing_else_is(variant: Variant, project: Path) -> None:
    resolved = resolve(variant.answers)
    recorded = recorded_answers(project)
    recorded.pop("_src_path")
    assert recorded == {question.name: resolved[question.name] for question in asked(variant.answers)}


SHOWS_TEMPLATES = Path("docs/mail.md")
"""Its examples tell how the mails of the project are written: in Jinja, too."""
EXAMPLE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def test_no_jinja_is_left(variant: Variant, project: Path) -> None:
    braces = "{{" in str(variant.answers)  # only what was typed in
    for file in (file for file in working_tree() if file.parts[0] == "template" and file.suffix == ".jinja"):
        rendered = project / file.with_suffix("").relative_to("template")
        if rendered.is_file():
            shows = rendered.relative_to(project) == SHOWS_TEMPLATES
            body = EXAMPLE.sub("", text(rendered)) if shows else text(rendered)
            residue = re.search(r"# \{%|\{%|%\}" if braces else r"# \{%|\{%|%\}|(?<!\$)\{\{", body)
            assert not residue, f"{rendered}: {residue and residue[0]}"


def test_python_is_clean(project: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run([ruff, *command, "--no-cache"], cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_python_parses_on_the_oldest_python(project: Path) -> None:
    for file in project.rglob("*.py"):
        ast.parse(text(file), filename=str(file), feature_version=(3, 11))


def test_data_files_parse(project: Path) -> None:
    parsers: dict[str, Callable[[str], Any]] = {
        ".toml": tomllib.loads,
        ".json": json.loads,
        ".yml": lambda source: yaml.compose(source, yaml.SafeLoader),
        ".yaml": lambda source: yaml.compose(source, yaml.SafeLoader),
    }
    for file in files(project):
        if file.suffix in parsers:
            parsers[file.suffix](text(project / file))


def test_text_is_as_editors_and_git_leave_it(project: Path) -> None:
    for file in files(project):
        if file.name == ".copier-answers.yml":
            continue  # Copier's own
        lines = text(project / file).split("\n")
        assert lines[-1] == "", f"{file}: no line end at the end"
        assert len(lines) == 1 or lines[-2] != "", f"{file}: blank lines at the end"
        stray = [number for number, line in enumerate(lines, start=1) if line != line.rstrip(" \t\r")]
        assert not stray, f"{file}: blanks at the end of line {stray}"


def test_every_import_is_a_declared_dependency(project: Path) -> None:
    declared = requirements(project)
    for file in files(project):
        if file.suffix == ".py":
            runtime = file.parts[0] in {"app", "alembic"} and file not in DEVELOPMENT_ONLY
            allowed = declared["runtime"] | (set() if runtime else declared["dev"])
            needed = {distribution(package) for package in imports(project / file)} - {"app", "tests"}
            assert needed <= allowed, file


def test_features_are_there_or_not_there_at_all(variant: Variant, project: Path) -> None:
    for name, feature in resolve(variant.answers)["features"].items():
        owned = {
            "files": [(project / path[1:]).exists() for path in feature["files"]],
            "packages": [package in packages(project) for package in feature["packages"]],
            "services": [service in services(project) for service in feature["services"]],
            "env": [key in env_keys(project) for key in feature["env"]],
        }
        for kind, found in owned.items():
            wrong = [
                owner for owner, there in zip(feature[kind], found, strict=True) if there is not feature["enabled"]
            ]
            assert not wrong, f"{name} is {'on' if feature['enabled'] else 'off'}, but see {kind}: {wrong}"


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("files", lambda project: {f"/{file.as_posix()}" for file in files(project)}),
        ("packages", packages),
        ("services", services),
        ("env", env_keys),
    ],
)
def test_what_not_every_project_has_belongs_to_a_feature(
    kind: str, read: Callable[[Path], set[str]], render: Render
) -> None:
    found = [read(render(variant.answers)) for variant in variants()]
    optional = set.union(*found) - set.intersection(*found)
    owned = [entry for feature in resolve({})["features"].values() for entry in feature[kind]]
    stray = {item for item in optional if not any(item == entry or item.startswith(f"{entry}/") for entry in owned)}
    assert not stray, f"extensions/features.yml.jinja says nothing of {stray}"


def test_names_arrive_as_they_were_typed(variant: Variant, project: Path) -> None:
    title = resolve(variant.answers)["project_name"]
    assert tomllib.loads(text(project / "app/about.toml"))["title"] == title
    assert html.unescape(text(project / "README.md")).startswith(f"# {title}\n")

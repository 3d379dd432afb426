"""Every variant is rendered completely and consistently, and is already formatted. test_execution.py executes them."""

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

UNUSUAL_NAMES = {
    "chinese": "待办事项服务",
    "quotes": """The "best" one's `own` '''service''' \"\"\"ever\"\"\"""",
    "emoji": "🚀 Rocket 👩‍🚀 ½",
    "backslash": r"C:\new\table \N{DASH} \u0041 \\",
    "markup": "<b>& #1: {{ x }} ${y} %s [link](x) *a* | - @",
    "longest": "Two hundred characters " + "x" * 177,
}
PROJECTS = [*variants(), *(Variant(f"named-{name}", {"project_name": text}) for name, text in UNUSUAL_NAMES.items())]

# Only imported in development, where the `dev` group is installed.
DEVELOPMENT_ONLY = {Path("app/db/embedded.py")}

Render = Callable[[Answers], Path]


@pytest.fixture(params=PROJECTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param


@pytest.fixture
def project(variant: Variant, render: Render) -> Path:
    return render(variant.answers)


def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def test_recorded_answers_are_complete(variant: Variant, project: Path) -> None:
    resolved = resolve(variant.answers)
    recorded = recorded_answers(project)
    recorded.pop("_src_path")
    assert recorded == {question.name: resolved[question.name] for question in asked(variant.answers)}


CONTAINS_JINJA = Path("docs/mail.md")
"""Its examples show the email templates of the project, which contain Jinja."""
EXAMPLE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def test_no_jinja_remains(variant: Variant, project: Path) -> None:
    name_has_braces = "{{" in str(variant.answers)  # only from the project name
    for file in (file for file in working_tree() if file.parts[0] == "template" and file.suffix == ".jinja"):
        rendered = project / file.with_suffix("").relative_to("template")
        if rendered.is_file():
            contains_jinja = rendered.relative_to(project) == CONTAINS_JINJA
            body = EXAMPLE.sub("", text(rendered)) if contains_jinja else text(rendered)
            match = re.search(r"# \{%|\{%|%\}" if name_has_braces else r"# \{%|\{%|%\}|(?<!\$)\{\{", body)
            assert not match, f"{rendered}: {match and match[0]}"


def test_python_passes_ruff(project: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["format", "--check"], ["check"]):
        result = subprocess.run(
            [ruff, *command, "--no-cache"], cwd=project, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr


def test_python_parses_on_oldest_version(project: Path) -> None:
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


def test_files_have_clean_whitespace(project: Path) -> None:
    for file in files(project):
        if file.name == ".copier-answers.yml":
            continue  # written by Copier
        lines = text(project / file).split("\n")
        assert lines[-1] == "", f"{file}: no newline at the end"
        assert len(lines) == 1 or lines[-2] != "", f"{file}: blank lines at the end"
        trailing = [number for number, line in enumerate(lines, start=1) if line != line.rstrip(" \t\r")]
        assert not trailing, f"{file}: trailing whitespace in lines {trailing}"


def test_imports_are_declared_dependencies(project: Path) -> None:
    declared = requirements(project)
    for file in files(project):
        if file.suffix == ".py":
            runtime = file.parts[0] in {"app", "alembic"} and file not in DEVELOPMENT_ONLY
            allowed = declared["runtime"] | (set() if runtime else declared["dev"])
            needed = {distribution(package) for package in imports(project / file)} - {"app", "tests", "tools"}
            assert needed <= allowed, file


def test_features_are_complete_or_absent(variant: Variant, project: Path) -> None:
    for name, feature in resolve(variant.answers)["features"].items():
        exists = {
            "files": [(project / path[1:]).exists() for path in feature["files"]],
            "packages": [package in packages(project) for package in feature["packages"]],
            "services": [service in services(project) for service in feature["services"]],
            "env": [key in env_keys(project) for key in feature["env"]],
        }
        for kind, found in exists.items():
            wrong = [
                owner for owner, there in zip(feature[kind], found, strict=True) if there is not feature["enabled"]
            ]
            assert not wrong, f"{name} is {'enabled' if feature['enabled'] else 'disabled'}, but see {kind}: {wrong}"


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("files", lambda project: {f"/{file.as_posix()}" for file in files(project)}),
        ("packages", packages),
        ("services", services),
        ("env", env_keys),
    ],
)
def test_optional_parts_belong_to_a_feature(kind: str, read: Callable[[Path], set[str]], render: Render) -> None:
    found = [read(render(variant.answers)) for variant in variants()]
    optional = set.union(*found) - set.intersection(*found)
    owned = [entry for feature in resolve({})["features"].values() for entry in feature[kind]]
    unowned = {item for item in optional if not any(item == entry or item.startswith(f"{entry}/") for entry in owned)}
    assert not unowned, f"extensions/features.yml.jinja does not list {unowned}"


def test_project_name_is_unchanged(variant: Variant, project: Path) -> None:
    title = resolve(variant.answers)["project_name"]
    assert tomllib.loads(text(project / "app/about.toml"))["title"] == title
    assert html.unescape(text(project / "README.md")).startswith(f"# {title}\n")

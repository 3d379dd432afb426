"""A project follows its template: with recipes that people run, and with a workflow that opens pull requests.

Nothing here is on GitHub. The project's origin is a bare repository that refuses what GitHub would refuse, `gh` is a
stand-in that keeps one pull request in a file, and git finds the published template in a local folder.
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
from tests.releases import commit, git
from tests.rendering import recorded_answers
from tests.trouble import replace

pytestmark = pytest.mark.updates

SOURCE = "gh:copier-fastapi/copier-fastapi"
ADDRESS = "https://github.com/copier-fastapi/copier-fastapi.git"
JUST = str(Path(sys.executable).with_name("just"))
SMALL = ("--data", "auth=none", "--data", "example=false")  # fewer files, the same machinery
CI = ".github/workflows/ci.yml"
SCRIPTS = [".github/template-update.sh", ".github/template-pull-request.sh"]
BRANCH = "template-update"
CONFLICT = "<<<<<<< before updating\nmine\n=======\nyours\n>>>>>>> after updating\n"

# GitHub's own token is called `own` here.
PRE_RECEIVE = """#!/bin/sh
[ -n "$GH_TOKEN" ] || exit 0
while read -r old new ref; do
    [ "$ref" != refs/heads/main ] || exit 1
    [ "$GH_TOKEN" != own ] || git diff --quiet main "$new" -- .github/workflows || {
        echo "refusing to allow a GitHub App to create or update workflow without workflows permission"
        exit 1
    }
done
"""
GH = """#!{python}
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


def executable(file: Path, text: str) -> None:
    """Write a program."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)


@dataclass(frozen=True)
class Team:
    """A folder with what a team has: `template`, `project`, its `origin`, and the settings of their machines."""

    folder: Path

    @property
    def project(self) -> Path:
        """The project, on somebody's machine."""
        return self.folder / "project"

    @property
    def settings(self) -> dict[str, str]:
        """The environment in which git finds the template, `gh` is the stand-in, and what is usual elsewhere is set."""
        machine = self.folder / "gitconfig"
        machine.write_text(f'[url "{self.folder / "template"}"]\n    insteadOf = {ADDRESS}\n', encoding="utf-8")
        return {
            "COPIER_CACHE_DIR": str(self.folder / "cache"),
            "GIT_CONFIG_GLOBAL": str(machine),
            "GIT_CONFIG_NOSYSTEM": "1",
            # None of these may matter.
            "ENV": "prod",
            "UV_LOCKED": "1",
            "VIRTUAL_ENV": str(self.project / ".venv"),
        }

    def just(self, *command: str) -> str:
        """Run a recipe of the project."""
        return run(self.project, JUST, *command, timeout=120, **self.settings)

    def fails(self, code: int, *command: str) -> str:
        """Run a recipe that ends with the exit code, and return what it wrote."""
        with pytest.raises(StepError) as refused:
            self.just(*command)
        assert refused.value.code == code, refused.value
        return str(refused.value)

    def release(self, version: str, **edits: tuple[str, str]) -> None:
        """Publish a version of the template: the marker in the README, and edits of other files."""
        template = self.folder / "template"
        for name, (old, new) in edits.items():
            replace(template / FILES[name], old, new)
        (template / "template/NEWS.md").write_text(f"{version}\n", encoding="utf-8")
        commit(template, version, tag=version)

    def save(self, message: str = "Change") -> None:
        """Commit the project's files, and push them to main."""
        commit(self.project, message)
        git(self.project, "push", "--quiet", "origin", "main")

    def status(self) -> str:
        """Return what git says has changed in the project."""
        return git(self.project, "status", "--short")

    def publish(self) -> None:
        """Give the project an origin which refuses what GitHub refuses."""
        origin = self.folder / "origin.git"
        git(self.folder, "clone", "--quiet", "--bare", str(self.project), str(origin))
        executable(origin / "hooks/pre-receive", PRE_RECEIVE)
        git(self.project, "remote", "add", "origin", str(origin))
        text = GH.format(python=sys.executable, state=str(self.folder / "pulls.json"), branch=BRANCH)
        executable(self.folder / "bin/gh", text)

    def on_github(self, *command: str) -> str:
        """Ask the origin something."""
        return git(self.folder / "origin.git", *command)

    def works(self, token: str = "", **additions: str) -> str:
        """Run the workflow as GitHub does: the steps of main, on a clone of main."""
        expressions = {
            "${{ secrets.TEMPLATE_TOKEN || github.token }}": token or "own",
            "${{ secrets.TEMPLATE_TOKEN == '' }}": "false" if token else "true",
        }
        clone = self.folder / "runner"
        shutil.rmtree(clone, ignore_errors=True)
        git(self.folder, "clone", "--quiet", str(self.folder / "origin.git"), str(clone))
        workflow = yaml.safe_load((clone / ".github/workflows/template.yml").read_text(encoding="utf-8"))
        known = {**self.settings, **additions}
        path = f"{self.folder / 'bin'}:{environment()['PATH']}"
        written = ""
        for step in workflow["jobs"]["update"]["steps"]:
            if "run" in step:
                variables = {name: expressions[value] for name, value in step.get("env", {}).items()}
                command = ("bash", "-e", "-o", "pipefail", "-c", step["run"])
                written += run(clone, *command, timeout=120, **{**known, **variables, "PATH": path})
        return written

    def pulls(self) -> list[dict[str, Any]]:
        """Return the open pull requests."""
        file = self.folder / "pulls.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    def changes(self) -> list[str]:
        """Return which files the branch of the update changes."""
        assert self.on_github("rev-list", "--count", f"main..{BRANCH}") == "1"
        return self.on_github("diff", "--name-only", "main", BRANCH).splitlines()


FILES = {"ci": f"template/{CI}", "pyproject": "template/pyproject.toml.jinja", "licence": "template/LICENSE.jinja"}
WORKFLOW = {"ci": ("cancel-in-progress: true", "cancel-in-progress: false")}
DEPENDENCY = {"pyproject": ('    "anyio>=', '    "idna>=3",\n    "anyio>=')}
LICENCE = {"licence": ("without restriction", "with no restriction")}


@pytest.fixture
def team(template: Path, once: Callable[[str, Callable[[Path], object]], Path], tmp_path: Path) -> Team:
    """A team whose project was made from version 1.0.0."""

    def begin(folder: Path) -> None:
        shutil.copytree(template, folder / "template")
        commit(folder / "template", "All", tag="1.0.0")
        copy = (sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", *SMALL, SOURCE, "project")
        run(folder, *copy, timeout=120, **Team(folder).settings)
        run(folder / "project", "uv", "lock", timeout=120)
        commit(folder / "project", "Start")

    started = once("following", begin)
    for name in ("template", "project"):
        shutil.copytree(started / name, tmp_path / name)
    return Team(tmp_path)


@pytest.fixture
def published(team: Team) -> Team:
    """A team whose project is on GitHub."""
    team.publish()
    return team


def test_check_tells_whether_there_is_a_newer_version(team: Team) -> None:
    assert "up-to-date" in team.just("template-check")
    team.release("1.1.0")
    assert "Current version is 1.0.0, latest version is 1.1.0." in team.just("template-check").splitlines()
    replace(team.project / ".copier-answers.yml", "_commit: 1.0.0\n", "")
    assert ".copier-answers.yml" in team.fails(1, "template-check")


def test_update_keeps_edits_and_renews_the_lock_file(team: Team) -> None:
    replace(team.project / "README.md", "## Run it", "## Run it today")
    commit(team.project, "Ours")
    team.release("1.1.0", **DEPENDENCY)
    team.just("template-update")
    assert recorded_answers(team.project)["_commit"] == "1.1.0"
    assert sorted(line[3:] for line in team.status().splitlines()) == [
        ".copier-answers.yml",
        "NEWS.md",
        "pyproject.toml",
        "uv.lock",
    ]
    assert "## Run it today" in (team.project / "README.md").read_text(encoding="utf-8")


def test_update_says_what_is_in_conflict_and_ends_with_3(team: Team) -> None:
    replace(team.project / "LICENSE", "without restriction", "with few restrictions")
    commit(team.project, "Ours")
    team.release("1.1.0", **DEPENDENCY, **LICENCE)
    written = team.fails(3, "template-update")
    assert "\n    LICENSE\n" in written
    assert "git add --all" in written
    assert " M uv.lock" in team.status(), "the lock file is renewed all the same"
    assert "LICENSE:" in team.fails(1, "leftovers")


def test_update_survives_a_conflict_in_what_uv_reads(team: Team) -> None:
    replace(team.project / "pyproject.toml", '    "anyio>=', '    "certifi>=1",\n    "anyio>=')
    run(team.project, "uv", "lock")
    commit(team.project, "Ours")
    team.release("1.1.0", **DEPENDENCY)
    assert "\n    pyproject.toml\n" in team.fails(3, "template-update")


def test_update_names_parts_that_did_not_fit(team: Team) -> None:
    replace(team.project / "LICENSE", "without restriction", "with few restrictions")
    commit(team.project, "Ours")
    team.release("1.1.0", **LICENCE)
    assert "\n    LICENSE.rej\n" in team.fails(3, "template-update", "--conflict", "rej")
    assert "LICENSE.rej" in team.fails(1, "leftovers"), "git sees it: .gitignore does not hide it"


@pytest.mark.parametrize("script", SCRIPTS)
def test_update_may_change_the_script_that_runs(published: Team, script: str) -> None:
    (published.folder / "template/template" / script).write_text("exit 99\n" * 5000, encoding="utf-8")
    published.release("1.1.0")
    published.works("token")
    assert script in published.changes()


def test_what_the_guide_says_can_be_typed(team: Team) -> None:
    guide = section((team.project / "CONTRIBUTING.md").read_text(encoding="utf-8"), "## Follow the template")
    team.release("1.1.0")
    commands = [command for block in blocks(guide) for command in block.commands()]
    assert len(commands) == 3
    for command in commands:
        team.just(*command.removeprefix("uv run just ").split())
        commit(team.project, command)
    assert recorded_answers(team.project)["docs_site"] is False
    assert not (team.project / "mkdocs.yml").exists()


def needs_trust(team: Team) -> None:
    """Publish a version that runs a script in the project."""
    with (team.folder / "template/copier.yml").open("a", encoding="utf-8") as file:
        file.write("\n_migrations:\n  - version: 1.1.0\n    command: touch moved\n")
    team.release("1.1.0")


def test_an_update_that_needs_trust_says_how(team: Team) -> None:
    needs_trust(team)
    written = team.fails(4, "template-update")
    assert "migrations" in written
    assert "uvx copier update --trust" in written
    assert team.status() == ""
    team.just("template-update", "--trust")
    assert (team.project / "moved").exists()


def test_the_workflow_does_nothing_when_there_is_nothing_new(published: Team) -> None:
    assert "no newer version of the template than 1.0.0" in published.works("token")
    assert published.pulls() == []
    assert BRANCH not in published.on_github("branch")


def test_the_workflow_opens_one_pull_request_and_refreshes_it(published: Team) -> None:
    published.release("1.1.0", **WORKFLOW, **DEPENDENCY)
    # What is uploaded to the index between two runs would be in the second lock file alone.
    yesterday = {"UV_EXCLUDE_NEWER": str(datetime.now(UTC).date() - timedelta(days=1))}
    published.works("token", **yesterday)
    [pull] = published.pulls()
    assert (pull["title"], pull["base"], pull["head"], pull["draft"]) == (
        "Update from the template: 1.0.0 to 1.1.0",
        "main",
        BRANCH,
        False,
    )
    assert "###" not in pull["body"], "nothing is left to do"
    assert published.changes() == [".copier-answers.yml", CI, "NEWS.md", "pyproject.toml", "uv.lock"]
    first = published.on_github("rev-parse", BRANCH)

    published.works("token", **yesterday)
    assert published.on_github("diff", first, BRANCH) == ""
    assert published.on_github("rev-parse", BRANCH) == first, "approvals stay"

    replace(published.project / "LICENSE", "without restriction", "with few restrictions")
    published.save()
    published.release("1.2.0", **LICENCE)
    published.works("token")
    [pull] = published.pulls()
    assert (pull["title"], pull["draft"]) == ("Update from the template: 1.0.0 to 1.2.0", True)
    assert "- `LICENSE`" in pull["body"]

    replace(published.project / "LICENSE", "with few restrictions", "with no restriction")
    published.save()
    published.works("token")
    [pull] = published.pulls()
    assert not pull["draft"]
    assert "LICENSE" not in pull["body"]


def test_the_workflow_commits_conflicts_as_a_draft_and_leaves_it_to_who_resolves_them(published: Team) -> None:
    replace(published.project / "LICENSE", "without restriction", "with few restrictions")
    published.save()
    published.release("1.1.0", **LICENCE)
    published.works("token")
    [pull] = published.pulls()
    assert pull["draft"]
    assert "- `LICENSE`" in pull["body"]
    assert "LICENSE" in published.changes()
    assert "<<<<<<< before updating" in published.on_github("show", f"{BRANCH}:LICENSE")
    assert not [name for name in published.changes() if name.endswith(".rej")]

    git(published.project, "fetch", "--quiet", "origin")
    git(published.project, "switch", "--quiet", BRANCH)
    git(published.project, "checkout", "--quiet", "main", "--", "LICENSE")
    commit(published.project, "Resolve the conflicts")
    git(published.project, "push", "--quiet")
    resolved = published.on_github("rev-parse", BRANCH)
    published.release("1.2.0")
    assert "commits by another author" in published.works("token")
    assert published.on_github("rev-parse", BRANCH) == resolved


def test_without_a_token_workflows_are_left_out(published: Team) -> None:
    published.release("1.1.0", **WORKFLOW, **DEPENDENCY)
    published.works()
    [pull] = published.pulls()
    assert published.changes() == [".copier-answers.yml", "NEWS.md", "pyproject.toml", "uv.lock"]
    assert pull["draft"], "merged as it is, it would lose the changes of the workflow for good"
    assert f"- `{CI}`" in pull["body"]
    assert "TEMPLATE_TOKEN" in pull["body"]
    assert "Approve workflows to run" in pull["body"]

    published.works("token")
    [pull] = published.pulls()
    assert CI in published.changes()
    assert not pull["draft"]
    assert "###" not in pull["body"]


def test_what_was_left_out_does_not_come_again(team: Team) -> None:
    team.release("1.1.0", **WORKFLOW)
    team.just("template-update")
    git(team.project, "checkout", "--quiet", "--", CI)
    commit(team.project, "As the pull request without a token has it")
    team.release("1.2.0")
    team.just("template-update")
    assert "cancel-in-progress: true" in (team.project / CI).read_text(encoding="utf-8")


def test_github_may_not_know_drafts(published: Team) -> None:
    published.release("1.1.0", **WORKFLOW)
    published.works(GITHUB_IS="no-drafts")
    [pull] = published.pulls()
    assert not pull["draft"]
    assert f"- `{CI}`" in pull["body"]


def test_the_setting_that_pull_requests_need_is_named(published: Team) -> None:
    published.release("1.1.0")
    with pytest.raises(StepError, match="Allow GitHub Actions to create and approve pull requests"):
        published.works(GITHUB_IS="forbidden")


def test_the_workflow_fails_when_trust_is_needed(published: Team) -> None:
    needs_trust(published)
    with pytest.raises(StepError, match="uvx copier update --trust"):
        published.works("token")
    assert published.pulls() == []
    assert BRANCH not in published.on_github("branch")


@pytest.mark.parametrize(
    "place", ["/srv/template", "../template", "~/template", "file:///srv/template", r"C:\template"]
)
def test_a_local_template_cannot_be_followed(published: Team, place: str) -> None:
    replace(published.project / ".copier-answers.yml", f"_src_path: {SOURCE}", f"_src_path: {place}")
    published.save()
    assert re.search(r"other machines cannot access[^#]*_src_path: gh:", published.works("token"))
    assert published.pulls() == []


def test_the_pull_request_begins_on_the_main_branch(published: Team) -> None:
    published.release("1.1.0")
    git(published.project, "switch", "--quiet", "--create", BRANCH)
    assert "git switch main" in published.fails(1, "template-pull-request")


@pytest.mark.parametrize("name", ["LICENSE", ".copier-answers.yml"])
def test_conflict_markers_are_refused_and_headings_are_not(team: Team, name: str) -> None:
    (team.project / "README.md").write_text("Heading\n=======\n", encoding="utf-8")
    team.just("leftovers")
    with (team.project / name).open("a", encoding="utf-8") as file:
        file.write(CONFLICT)
    assert f"{name}:" in team.fails(1, "leftovers")


def test_a_folder_without_git_passes(team: Team) -> None:
    shutil.rmtree(team.project / ".git")
    (team.project / "LICENSE").write_text(CONFLICT, encoding="utf-8")
    assert run(team.project, JUST, "leftovers", GIT_CEILING_DIRECTORIES=str(team.folder)) == ""


@pytest.mark.execution
def test_hooks_pass_what_was_rendered_and_refuse_what_a_merge_has_left(team: Team) -> None:
    project = team.project
    run(project, "uv", "run", "just", "pre-commit-install")
    answers = (project / ".copier-answers.yml").read_bytes()
    run(project, "uv", "run", "pre-commit", "run", "--all-files")
    assert (project / ".copier-answers.yml").read_bytes() == answers
    assert team.status() == ""

    people = ("-c", "user.name=Test", "-c", "user.email=test@example.com")

    def committing() -> str:
        git(project, "add", "--all")
        return run(project, "git", *people, "commit", "--message", "Try")

    (project / "NOTES.md").write_text("Heading\n=======\n", encoding="utf-8")
    committing()
    for name, text, reason in [
        ("NOTES.md", CONFLICT, "Conflict markers"),
        (".copier-answers.yml", CONFLICT, "Conflict markers"),
        ("LICENSE.rej", "rejected\n", "Rejected changes"),
        ("NOTES.md", "blank \n", "trailing whitespace"),
    ]:
        (project / name).write_text(text, encoding="utf-8")
        with pytest.raises(StepError, match=reason):
            committing()
        git(project, "reset", "--quiet", "--hard")

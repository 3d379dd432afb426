"""Read the files and declarations of a rendered project."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml

# Imports whose package has another name, or that are a documented part of another package.
DISTRIBUTIONS = {"coverage": "pytest-cov", "starlette": "fastapi", "jwt": "pyjwt", "yaml": "pyyaml"}


def files(project: Path) -> list[Path]:
    """Return the files of a project, as relative paths."""
    return sorted(path.relative_to(project) for path in project.rglob("*") if path.is_file())


def contents(project: Path) -> dict[str, bytes]:
    """Return the content of every file except the answers file, which always differs."""
    return {
        file.as_posix(): (project / file).read_bytes() for file in files(project) if file.name != ".copier-answers.yml"
    }


def requirements(project: Path) -> dict[str, set[str]]:
    """Return the names of the declared packages, for `runtime` and each dependency group."""
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    groups = {"runtime": declared["project"]["dependencies"], **declared["dependency-groups"]}
    return {group: {re.split(r"[^\w.-]", line)[0] for line in lines} for group, lines in groups.items()}


def packages(project: Path) -> set[str]:
    """Return the names of all declared packages."""
    return set().union(*requirements(project).values())


def services(project: Path) -> set[str]:
    """Return the names of the services in the compose file."""
    return set(yaml.safe_load((project / "docker-compose.yml").read_text(encoding="utf-8"))["services"])


def env_keys(project: Path) -> set[str]:
    """Return the variables in .env.example."""
    return set(
        re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", (project / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    )


def imports(file: Path) -> Iterator[str]:
    """Yield the top-level packages that a file imports, without the standard library."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        yield from {name.partition(".")[0] for name in names} - sys.stdlib_module_names


def distribution(package: str) -> str:
    """Return the package that provides an import."""
    return DISTRIBUTIONS.get(package, package.replace("_", "-"))

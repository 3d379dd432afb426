"""A project for the crash tests: rendered, with the probe among its features, installed."""

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.matrix.processes import run
from tests.matrix.service import database as database_of
from tests.rendering import render, snapshot

PROBE = Path(__file__).with_name("probe.py")
SWITCHED_ON = """
# isort: split
from app.modules import probe  # noqa: E402

FEATURES += (probe,)
"""
# What production asks for; no mail is ever sent. A worker that is told to stop gives back at once what it has begun.
SETTINGS = {
    "ENV": "prod",
    "LOG_LEVEL": "INFO",
    "SMTP_HOST": "localhost",
    "SMTP_SENDER": "no-reply@example.com",
    "WORKER_STOP_SECONDS": "0",
}


@contextmanager
def project(database: str) -> Generator[Path]:
    """Make a project in a folder of its own, which goes afterwards.

    Not below pytest's folders: each pytest that starts makes those private, and PostgreSQL may run as somebody else.
    """
    folder = Path(tempfile.mkdtemp(prefix="crashes-")).resolve()
    folder.chmod(0o755)
    try:
        template = snapshot(folder / "template")
        made = render(template, folder / "project", {"database": database, "auth": "none", "workers": True})
        _install(made)
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(project: Path) -> None:
    shutil.copy(PROBE, project / "app/modules/probe.py")
    with (project / "app/features.py").open("a", encoding="utf-8") as features:
        features.write(SWITCHED_ON)
    run(project, "uv", "sync", "--quiet")
    with database_of(project) as url:  # to compare the models with
        call(project, {**SETTINGS, "DATABASE_URL": url, "REDIS_URL": "redis://localhost"}, "db", "generate", "probe")


def call(project: Path, settings: Mapping[str, str], *arguments: str) -> str:
    """Run a command of the service, and return what it wrote.

    Raises:
        StepError: If it fails.
    """
    variables = [f"{name}={value}" for name, value in settings.items()]
    return run(project, "env", *variables, "uv", "run", "--quiet", "app", *arguments)

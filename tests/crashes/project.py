"""A project for the crash tests: rendered, with the probe among its features, installed."""

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.matrix.processes import run
from tests.matrix.service import database as database_of
from tests.rendering import render, snapshot

PROBE = Path(__file__).with_name("probe.py")  # of jobs
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

ELSEWHERE = {"REDIS_URL": "redis://localhost", "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092"}  # for who asks no server


@contextmanager
def project(database: str, probe: Path = PROBE, **answers: object) -> Generator[Path]:
    """Make a project with a probe in a folder of its own, which goes afterwards.

    Not below pytest's folders: each pytest that starts makes those private, and PostgreSQL may run as somebody else.
    """
    folder = Path(tempfile.mkdtemp(prefix="crashes-")).resolve()
    folder.chmod(0o755)
    try:
        template = snapshot(folder / "template")
        asked = {"database": database, "auth": "none", **(answers or {"workers": True})}
        made = render(template, folder / "project", asked)
        _install(made, probe)
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(project: Path, probe: Path) -> None:
    shutil.copy(probe, project / "app/modules/probe.py")
    with (project / "app/features.py").open("a", encoding="utf-8") as features:
        features.write(SWITCHED_ON)
    run(project, "uv", "sync", "--quiet")
    with database_of(project) as url:  # to compare the models with
        call(project, {**SETTINGS, **ELSEWHERE, "DATABASE_URL": url}, "db", "generate", "probe")


def call(project: Path, settings: Mapping[str, str], *arguments: str) -> str:
    """Run a command of the service, and return what it wrote.

    Raises:
        StepError: If it fails.
    """
    variables = [f"{name}={value}" for name, value in settings.items()]
    return run(project, "env", *variables, "uv", "run", "--quiet", "app", *arguments)

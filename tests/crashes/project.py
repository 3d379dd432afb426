"""A rendered and installed project for the crash tests, with the probe as an additional feature."""

import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.matrix.processes import run
from tests.matrix.service import database as database_of
from tests.rendering import render, snapshot

PROBE = Path(__file__).with_name("probe.py")  # for jobs
REGISTER_PROBE = """
# isort: split
from app.modules import probe  # noqa: E402

FEATURES.append(probe.feature)
"""
# Required in production; no email is sent. A worker that is stopped returns its unfinished jobs immediately.
SETTINGS = {
    "ENV": "prod",
    "LOG_LEVEL": "INFO",
    "SMTP_HOST": "localhost",
    "SMTP_SENDER": "no-reply@example.com",
    "WORKER_STOP_SECONDS": "0",
}

UNUSED_SERVERS = {
    "REDIS_URL": "redis://localhost",
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
}  # for commands that connect to neither


@contextmanager
def project(database: str, probe: Path = PROBE, **answers: object) -> Generator[Path]:
    """Create a project with a probe in a temporary folder.

    It is outside of pytest's folders: each pytest that starts makes those private, but PostgreSQL may run as another user.
    """
    folder = Path(tempfile.mkdtemp(prefix="crashes-")).resolve()
    folder.chmod(0o755)
    try:
        template = snapshot(folder / "template")
        selected = {"database": database, "auth": "none", **(answers or {"workers": True})}
        rendered = render(template, folder / "project", selected)
        _install_probe(rendered, probe)
        yield rendered
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install_probe(project: Path, probe: Path) -> None:
    shutil.copy(probe, project / "app/modules/probe.py")
    with (project / "app/features.py").open("a", encoding="utf-8") as features:
        features.write(REGISTER_PROBE)
    run(project, "uv", "sync", "--quiet")
    with database_of(project) as url:  # to generate a migration for the models of the probe
        run_app(project, {**SETTINGS, **UNUSED_SERVERS, "DATABASE_URL": url}, "db", "generate", "probe")


def run_app(project: Path, settings: Mapping[str, str], *arguments: str) -> str:
    """Run a command of the service, and return its output.

    Raises:
        StepError: If it fails.
    """
    variables = [f"{name}={value}" for name, value in settings.items()]
    return run(project, "env", *variables, "uv", "run", "--quiet", "app", *arguments)

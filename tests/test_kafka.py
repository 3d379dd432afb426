"""Tests of a rendered project with a real Apache Kafka, instead of the mock broker of librdkafka."""

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.kafka.broker import Broker, NoKafkaError, broker
from tests.matrix.processes import run
from tests.rendering import Answers

pytestmark = [pytest.mark.complete, pytest.mark.execution]

CHECKS = Path(__file__).with_name("kafka") / "checks.py"
PROJECT_TESTS = ("tests/messaging", "tests/modules/statistics", "tests/test_processes.py")


@pytest.fixture(scope="module")
def kafka() -> Generator[Broker]:
    with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        try:
            with broker(Path(folder)) as running:
                yield running
        except NoKafkaError as reason:
            pytest.skip(str(reason))


def test_project_tests_pass_with_real_kafka(kafka: Broker, render: Callable[[Answers], Path], tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(render({"kafka": True, "database": "postgres"}), project)
    shutil.copy(CHECKS, project / "tests/messaging/test_real_kafka.py")
    run(project, "uv", "sync", "--quiet")
    output = run(
        project,
        *("uv", "run", "pytest", "--no-cov", "-n", "2", "-rs", "--durations=5", *PROJECT_TESTS),
        KAFKA_BOOTSTRAP_SERVERS=kafka.address,
    )
    assert "skipped" not in output, output


def test_broker_keeps_data_after_kill(tmp_path: Path) -> None:
    """The crash tests rely on a broker that keeps its data."""
    try:
        with broker(tmp_path) as running:
            data = tmp_path / "kafka/data/meta.properties"
            before = data.read_bytes()
            running.kill()
            assert running.process is not None
            assert running.process.returncode == -9
            running.start()
            assert data.read_bytes() == before
    except NoKafkaError as reason:
        pytest.skip(str(reason))

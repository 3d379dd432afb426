"""Events and a real Apache Kafka: the tests of a rendered project, which else have a broker of librdkafka, and more."""

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
ITS_OWN = ("tests/events", "tests/modules/statistics", "tests/test_consumers.py", "tests/test_relay.py")


@pytest.fixture(scope="module")
def kafka() -> Generator[Broker]:
    with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        try:
            with broker(Path(folder)) as running:
                yield running
        except NoKafkaError as reason:
            pytest.skip(str(reason))


def test_what_a_project_tests_holds_with_a_real_kafka(
    kafka: Broker, render: Callable[[Answers], Path], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(render({"kafka": True, "database": "postgres"}), project)
    shutil.copy(CHECKS, project / "tests/events/test_real_kafka.py")
    run(project, "uv", "sync", "--quiet")
    told = run(
        project,
        *("uv", "run", "pytest", "--no-cov", "-n", "2", "-rs", "--durations=5", *ITS_OWN),
        KAFKA_BOOTSTRAP_SERVERS=kafka.address,
    )
    assert "skipped" not in told, told


def test_it_comes_back_with_what_it_had(tmp_path: Path) -> None:
    """The crash tests would prove little with a broker that forgets."""
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

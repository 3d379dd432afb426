"""Pytest plugin that reports each long test when it ends, and the CPU seconds of each test file."""

import os
from collections import defaultdict
from collections.abc import Generator
from operator import itemgetter
from typing import Any

import pytest

LONG_SECONDS = 20
"""Longer tests are reported when they end. Running a variant takes about a minute."""

STARTED = pytest.StashKey[float]()


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def pytest_configure(config: pytest.Config) -> None:
    """Register the reporter."""
    config.pluginmanager.register(Costs(config))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Record the CPU seconds used before a test."""
    item.stash[STARTED] = cpu_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the CPU seconds of a test to its last report, which pytest-xdist sends to the main process."""
    report = yield
    if call.when == "teardown":
        report.user_properties.append(("cpu", cpu_seconds() - item.stash[STARTED]))
    return report


class Costs:
    """Prints the results, in the main process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Report a long test, and add its CPU seconds to those of its file."""
        if report.when == "teardown":
            measured: dict[str, Any] = dict(report.user_properties)
            self.seconds[report.nodeid.partition("::")[0]] += measured.get("cpu", 0)
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal and report.when == "call" and report.duration > LONG_SECONDS:
            terminal.ensure_newline()
            terminal.write_line(f"{report.outcome} in {report.duration:.0f} s: {report.nodeid}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the CPU seconds of each test file."""
        terminalreporter.section("CPU seconds, including child processes")
        for file, seconds in sorted(self.seconds.items(), key=itemgetter(1), reverse=True):
            terminalreporter.write_line(f"{seconds:8.1f}  {file}")
        terminalreporter.write_line(f"{sum(self.seconds.values()):8.1f}  all")

"""Coverage.py plugin that adapts the measurement to the Python version; pyproject.toml explains why."""

import sys

from coverage import CoveragePlugin
from coverage.plugin_support import Plugins
from coverage.types import TConfigurable


class Concurrency(CoveragePlugin):
    """Follows SQLAlchemy's greenlets where coverage.py cannot use `sys.monitoring`."""

    def configure(self, config: TConfigurable) -> None:
        """Override `concurrency` of pyproject.toml."""
        if sys.version_info < (3, 14):
            config.set_option("run:concurrency", ["greenlet", "thread"])


def coverage_init(registry: Plugins, options: dict[str, str]) -> None:
    """Register the plugin; coverage.py calls this in every process that it measures."""
    registry.add_configurer(Concurrency())

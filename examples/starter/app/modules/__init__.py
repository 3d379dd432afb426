"""Domain modules: one package per domain entity, from its `routes` down to its `models`."""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType


def discover(*files: str, package: str = __name__) -> list[ModuleType]:
    """Import the files with these names, such as `subscribers`, from all modules that have them.

    All files with the first name are imported before those with the second.
    """
    modules = [found.name for found in iter_modules(import_module(package).__path__, f"{package}.") if found.ispkg]
    return [import_module(name) for file in files for module in modules if find_spec(name := f"{module}.{file}")]

"""Domain modules: one package per domain entity, with layers from `routes` down to `models`."""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType


def discover(*files: str, package: str = __name__) -> list[ModuleType]:
    """Import the files with these names from all modules, such as `tasks`, and return them.

    All files with the first name are imported before those with the second, so later files can use what earlier ones
    define. Import errors are not caught.
    """
    modules = [found.name for found in iter_modules(import_module(package).__path__, f"{package}.") if found.ispkg]
    return [import_module(name) for file in files for module in modules if find_spec(name := f"{module}.{file}")]

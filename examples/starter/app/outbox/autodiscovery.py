"""Imports the files in which modules register their background work.

Without the import, it would never run, and nothing would report that.
"""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType


def autodiscover(modules: ModuleType, *files: str) -> list[str]:
    """Import the files with these names from all modules, and return the imported module names.

    All files with the first name are imported before those with the second, so later files can use what earlier ones
    define. Import errors are not caught.
    """
    packages = [found.name for found in iter_modules(modules.__path__, f"{modules.__name__}.") if found.ispkg]
    names = [name for file in files for package in packages if find_spec(name := f"{package}.{file}")]
    for name in names:
        import_module(name)
    return names

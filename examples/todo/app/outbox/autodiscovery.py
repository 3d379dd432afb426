"""Files of modules that are imported because they are there, such as those with what is done beside answering requests.

What no process had imported would neither leave nor be done, and nobody would be told.
"""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType


def autodiscover(modules: ModuleType, *files: str) -> list[str]:
    """Import the files of these names in all modules, and return what was imported.

    First those of the first name in every module: what is made there, all that follow can use. What one of them
    raises goes through.
    """
    packages = [found.name for found in iter_modules(modules.__path__, f"{modules.__name__}.") if found.ispkg]
    names = [name for file in files for package in packages if find_spec(name := f"{package}.{file}")]
    for name in names:
        import_module(name)
    return names

"""Imports a model's code as a package that nobody else shares.

Triton gives each instance an interpreter of its own, so models count on this: `from .images import decode` and `import images` both
find the file beside model.py, a global variable belongs to one instance, and a reload reads the files anew. Here all models live
in one interpreter. So each import makes a package under a name that was never used, `from .images` finds its neighbours through the
package's path, and `import images` finds them through the `__import__` that the package's modules have among their builtins: nothing
is written to `sys.path`, and two models with an images.py each keep their own.

What differs: `importlib.import_module("images")`, and pickles that name the module, do not know the neighbours by their short names.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from types import ModuleType
from typing import Any, Final
from uuid import uuid4

from aisle_server.backends.python.current_model import BUILTIN_NAME, CurrentModel

_NAME_PREFIX: Final = "triton_python_model_"
_NAMES: Final = re.compile(rf"{_NAME_PREFIX}[0-9a-f]{{32}}\.?")
UTILS_MODULE: Final = "triton_python_backend_utils"
# As it was before any model ran: some models put their own directory on sys.path, and it would answer for all the others.
_PATH_OF_THE_PROCESS: Final = tuple(sys.path)


class ModelPackage:
    """The code in one version directory, imported once."""

    def __init__(self, model: CurrentModel) -> None:
        """Make the package; nothing is executed yet but an `__init__.py`, if there is one.

        Args:
            model: Whose code it is; it lies in the version directory.
        """
        self.name = f"{_NAME_PREFIX}{uuid4().hex}"
        self._directory = model.directory
        self._siblings: dict[str, bool] = {}
        self._finder = _PackageFinder(self.name, {**vars(builtins), "__import__": self._import, BUILTIN_NAME: model})
        sys.meta_path.insert(0, self._finder)
        try:
            self._make_package()
        except BaseException:
            self.close()
            raise

    def import_module(self, name: str) -> ModuleType:
        """Import a module of the package by the name of its file.

        Raises:
            ModuleNotFoundError: There is no such file.
            Exception: What the module's code raises.
        """
        return importlib.import_module(f"{self.name}.{name}")

    def close(self) -> None:
        """Forget the package and all of its modules. Their code may go on running where it is still referred to."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        prefix = f"{self.name}."
        for name in [name for name in sys.modules if name == self.name or name.startswith(prefix)]:
            del sys.modules[name]

    def _make_package(self) -> None:
        spec = ModuleSpec(self.name, None, is_package=True)
        init = self._directory / "__init__.py"
        if init.is_file():
            spec.loader = _ModelCodeLoader(self.name, str(init), self._finder.module_builtins)
            spec.origin = str(init)
            spec.has_location = True
        spec.submodule_search_locations = [str(self._directory)]
        package = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = package
        if spec.loader is not None:
            spec.loader.exec_module(package)

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or not self._is_sibling(top):
            return builtins.__import__(name, globals, locals, fromlist, level)
        if fromlist:
            return builtins.__import__(f"{self.name}.{name}", globals, locals, fromlist, 0)
        self.import_module(name)
        return sys.modules[f"{self.name}.{top}"]

    def _is_sibling(self, top: str) -> bool:
        known = self._siblings.get(top)
        if known is None:
            spec = self._finder.find_spec(f"{self.name}.{top}", [str(self._directory)])
            # A folder without code has a spec too, but no loader. And as on Triton, which puts the version directory last on sys.path,
            # what is installed goes before the neighbour of the same name.
            known = self._siblings[top] = spec is not None and spec.loader is not None and not _is_installed(top)
        return known


def without_package_names(text: str) -> str:
    """Return the text of an exception with modules named as their files are, not by the package of one import."""
    return _NAMES.sub("", text)


class _PackageFinder(MetaPathFinder):
    """Finds the modules of one package."""

    def __init__(self, package: str, module_builtins: dict[str, Any]) -> None:
        self.module_builtins = module_builtins
        self._prefix = f"{package}."

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(self._prefix):
            return None
        for directory in path or ():
            finder = FileFinder(
                directory, (ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, SOURCE_SUFFIXES)
            )
            spec = finder.find_spec(fullname)
            if spec is not None:
                if isinstance(spec.loader, SourceFileLoader):
                    spec.loader = _ModelCodeLoader(fullname, spec.loader.path, self.module_builtins)
                return spec
        return None


class _ModelCodeLoader(SourceFileLoader):
    """Executes a file of a model, with the package's `__import__` among its builtins."""

    def __init__(self, fullname: str, path: str, module_builtins: dict[str, Any]) -> None:
        super().__init__(fullname, path)
        self._module_builtins = module_builtins

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = self._module_builtins
        super().exec_module(module)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write no bytecode: a model repository is read, never written, and a new file in it looks like a change of the model."""


def _is_installed(top: str) -> bool:
    return (
        top == UTILS_MODULE
        or top in sys.stdlib_module_names
        or PathFinder.find_spec(top, list(_PATH_OF_THE_PROCESS)) is not None
    )

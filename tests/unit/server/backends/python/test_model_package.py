"""A model's code is imported for itself: it finds its neighbours, and nobody else does."""

import sys

import pytest

from aisle_server.backends.python import triton_python_backend_utils
from aisle_server.backends.python.current_model import CurrentModel
from aisle_server.backends.python.model_package import ModelPackage


@pytest.fixture
def version_directory(tmp_path):
    """`<model>/1` with a model, a neighbour and a neighbouring package."""
    return write(tmp_path / "1", word="first")


def write(directory, word):
    """Write a model whose files all know a word."""
    (directory / "colours").mkdir(parents=True)
    (directory / "data").mkdir()
    (directory / "colours" / "__init__.py").write_text("from . import names\nimport shapes\n")
    (directory / "colours" / "names.py").write_text(f"WORD = {word!r}\n")
    (directory / "shapes.py").write_text(f"WORD = {word!r}\nCALLS = []\n")
    (directory / "model.py").write_text(
        """
import json
import shapes
import colours.names
from colours import names as colour_names
from . import shapes as relative_shapes
from .colours.names import WORD

def late():
    import later
    from colours.names import WORD
    return later.WORD, WORD
"""
    )
    (directory / "later.py").write_text(f"WORD = {word!r}\n")
    return directory


def package_of(directory):
    """The package of the code in a version directory."""
    return ModelPackage(CurrentModel("m", 1, directory))


def test_relative_and_absolute_imports_find_the_same_neighbour(version_directory):
    """`from . import shapes` and `import shapes` give one module, in model.py and in the packages beside it."""
    package = package_of(version_directory)
    model = package.import_module("model")
    assert model.shapes is model.relative_shapes is model.colours.shapes
    assert model.colours.names is model.colour_names
    assert model.WORD == "first"
    package.close()


def test_imports_inside_functions_find_the_neighbours_later(version_directory):
    """An import that runs when a request comes finds the neighbour as well."""
    package = package_of(version_directory)
    assert package.import_module("model").late() == ("first", "first")
    package.close()


def test_two_models_keep_their_own_neighbours(version_directory, tmp_path):
    """Models whose files have the same names share nothing, and neither do two imports of one model."""
    first, again = package_of(version_directory), package_of(version_directory)
    other = package_of(write(tmp_path / "other" / "1", word="second"))
    models = [package.import_module("model") for package in (first, again, other)]
    assert [model.shapes.WORD for model in models] == ["first", "first", "second"]
    models[0].shapes.CALLS.append(1)
    assert [model.shapes.CALLS for model in models] == [[1], [], []]
    for package in (first, again, other):
        package.close()


def test_a_reload_reads_the_files_anew(version_directory):
    """A file that changed since the last import is read again, even when its size and its second of change are the same."""
    package = package_of(version_directory)
    assert package.import_module("shapes").WORD == "first"
    package.close()
    (version_directory / "shapes.py").write_text("WORD = 'other'\nCALLS = []\n")
    again = package_of(version_directory)
    assert again.import_module("shapes").WORD == "other"
    again.close()


def test_nothing_stays_behind(version_directory):
    """Once closed, a package has left sys.modules, sys.meta_path and sys.path as they were, and no file in the repository."""
    files = sorted(version_directory.rglob("*"))
    before = set(sys.modules), list(sys.meta_path), list(sys.path)
    package = package_of(version_directory)
    package.import_module("model").late()
    package.close()
    assert (set(sys.modules), list(sys.meta_path), list(sys.path)) == before
    assert sorted(version_directory.rglob("*")) == files


def test_neighbours_are_invisible_to_everyone_else(version_directory):
    """Code outside of the model cannot import the model's files."""
    package = package_of(version_directory)
    package.import_module("model")
    with pytest.raises(ModuleNotFoundError):
        import shapes  # noqa: F401
    package.close()


def test_what_is_installed_goes_before_a_neighbour_of_its_name(version_directory):
    """A file beside model.py does not shadow an installed package or the standard library, as on Triton."""
    (version_directory / "json.py").write_text("dumps = None\n")
    package = package_of(version_directory)
    assert package.import_module("model").json.dumps is not None
    package.close()


def test_a_model_that_changes_sys_path_harms_no_other(version_directory, tmp_path, monkeypatch):
    """Models that put their own directory on sys.path, as many do, still get their own files, and so do the others."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    hack = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nimport shapes\n"
    other_directory = write(tmp_path / "other" / "1", word="second")
    packages = []
    for directory in (version_directory, other_directory):
        (directory / "hacked.py").write_text(hack)
        packages.append(package_of(directory))
    assert [package.import_module("hacked").shapes.WORD for package in packages] == ["first", "second"]
    assert "shapes" not in sys.modules
    for package in packages:
        package.close()


def test_a_copy_of_tritons_module_is_not_taken(version_directory):
    """A triton_python_backend_utils.py that lies beside model.py for an editor's sake does not replace the server's."""
    (version_directory / "triton_python_backend_utils.py").write_text("Tensor = None\n")
    (version_directory / "reader.py").write_text("import triton_python_backend_utils as pb_utils\n")
    package = package_of(version_directory)
    sys.modules.setdefault("triton_python_backend_utils", triton_python_backend_utils)
    assert package.import_module("reader").pb_utils.Tensor is not None
    package.close()


def test_a_folder_of_data_is_no_module(version_directory):
    """A folder without code does not answer for a package of its name."""
    (version_directory / "reader.py").write_text("import data\n")
    package = package_of(version_directory)
    with pytest.raises(ModuleNotFoundError, match="No module named 'data'"):
        package.import_module("reader")
    package.close()


def test_a_package_may_have_an_init_file(version_directory):
    """An `__init__.py` in the version directory is executed first, and finds the neighbours too."""
    (version_directory / "__init__.py").write_text("import shapes\nGREETING = shapes.WORD\n")
    (version_directory / "reader.py").write_text("from . import GREETING\n")
    package = package_of(version_directory)
    assert package.import_module("reader").GREETING == "first"
    package.close()


def test_an_init_file_that_fails_leaves_nothing_behind(version_directory):
    """A package whose `__init__.py` raises is gone at once."""
    (version_directory / "__init__.py").write_text("raise ValueError('broken')\n")
    before = set(sys.modules), list(sys.meta_path)
    with pytest.raises(ValueError, match="broken"):
        package_of(version_directory)
    assert (set(sys.modules), list(sys.meta_path)) == before


def test_code_outlives_its_package(version_directory):
    """Functions that somebody still holds go on working after the package is closed."""
    package = package_of(version_directory)
    model = package.import_module("model")
    package.close()
    assert model.shapes.WORD == "first"

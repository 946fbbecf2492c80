"""How files come into a model repository that a server may be reading."""

from pathlib import Path

import pytest

from aisle_training.export.repository import install_model, size_bytes, write_model


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A repository with one model, written elsewhere."""
    folder = tmp_path / "staged"
    labels, weights = tmp_path / "labels.txt", tmp_path / "weights.bin"
    labels.write_text("a\nb\n")
    weights.write_bytes(b"new")
    version = write_model(folder, "net", 3, 'name: "net"\n', labels=labels, files=[weights])
    assert version == folder / "net" / "3"
    return folder


def contents(folder: Path) -> dict[str, str]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


NEW = {"config.pbtxt": 'name: "net"\n', "labels.txt": "a\nb\n", "3/weights.bin": "new"}


def test_first_version(staged: Path, tmp_path: Path) -> None:
    """A model that was not there is there, with all of its files and nothing else."""
    install_model(staged, tmp_path / "models", "net")
    assert contents(tmp_path / "models" / "net") == NEW
    assert size_bytes(tmp_path / "models" / "net") == sum(map(len, NEW.values()))


def test_replaced_version(staged: Path, tmp_path: Path) -> None:
    """A version of the same number gives way whole; other versions and foreign files stay."""
    model = tmp_path / "models" / "net"
    for version in ("2", "3"):
        (model / version).mkdir(parents=True)
        (model / version / "weights.bin").write_text("old")
    (model / "3" / "stale.bin").write_text("old")
    (model / "README").write_text("mine")
    (model / "config.pbtxt").write_text("old")
    install_model(staged, tmp_path / "models", "net")
    assert contents(model) == NEW | {"2/weights.bin": "old", "README": "mine"}


def test_remains_of_a_killed_export(staged: Path, tmp_path: Path) -> None:
    """What a killed export left behind is swept away by the next."""
    model = tmp_path / "models" / "net"
    for remains in (".3.arriving", ".3.leaving"):
        (model / remains).mkdir(parents=True)
        (model / remains / "weights.bin").write_text("half")
    install_model(staged, tmp_path / "models", "net")
    assert contents(model) == NEW


def test_previous_version_comes_back(staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new version cannot be put in place, the old one is put back."""
    model = tmp_path / "models" / "net"
    (model / "3").mkdir(parents=True)
    (model / "3" / "weights.bin").write_text("old")
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path.name == ".3.arriving":
            raise OSError("no space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="no space"):
        install_model(staged, tmp_path / "models", "net")
    assert (model / "3" / "weights.bin").read_text() == "old"


def test_names_under_way_are_no_versions(staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a version arrives, no folder of an incomplete version has a number for a name."""
    seen: list[set[str]] = []
    rename = Path.rename

    def watched(path: Path, target: Path) -> Path:
        seen.append({entry.name for entry in path.parent.iterdir()})
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    install_model(staged, tmp_path / "models", "net")
    install_model(staged, tmp_path / "models", "net")
    assert seen == [
        {".3.arriving"},
        {"3", ".3.arriving", "config.pbtxt", "labels.txt"},
        {".3.leaving", ".3.arriving", "config.pbtxt", "labels.txt"},
    ]

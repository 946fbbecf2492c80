"""The run folder."""

from pathlib import Path

import pytest

from aisle_training.runs import RunFolder


def test_labels_are_read_back(tmp_path: Path):
    """Whole paths go into labels.txt, a line each, and come back as they were."""
    labels = [("Apparel", "Topwear", "Tshirts"), ("Home", "Möbel & Co."), ("ساعت",)]
    run = RunFolder(tmp_path)
    run.write_labels(labels)
    assert run.labels_path.read_text(encoding="utf-8").splitlines()[0] == "Apparel > Topwear > Tshirts"
    assert run.labels() == labels


@pytest.mark.parametrize("name", ["a > b", "two\nlines", "line\u2028separator"])
def test_ambiguous_label_is_refused(tmp_path: Path, name: str):
    """A category name that would be read back as another one is refused when it is written."""
    with pytest.raises(ValueError, match="line break"):
        RunFolder(tmp_path).write_labels([("Home", name)])


def test_other_folder_is_no_run(tmp_path: Path):
    """A folder that no training wrote, or that was not trained to its end, says so."""
    with pytest.raises(ValueError, match=r"is no run folder: it holds no file recipe\.json"):
        RunFolder(tmp_path).recipe()
    with pytest.raises(ValueError, match="train the run to its end first"):
        RunFolder(tmp_path).load_classifier("image_classifier")

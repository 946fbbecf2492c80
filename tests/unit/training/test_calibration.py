"""Temperature scaling."""

import numpy as np
import pytest

from aisle_training.calibration import fit_temperature, scale_probabilities
from aisle_training.metrics import expected_calibration_error


def draw(rows: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities, and these probabilities made `sharpness` times too sure."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0.0, 1.5, (rows, 6))
    honest = scale_probabilities(np.exp(logits), 1.0)
    labels = np.array([generator.choice(6, p=row) for row in honest], dtype=np.int32)
    return scale_probabilities(honest, 1.0 / sharpness), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_fitted_temperature_undoes_overconfidence(sharpness: float):
    """The fitted temperature is the one by which a network was too sure, or not sure enough."""
    probabilities, labels = draw(8000, sharpness)
    temperature = fit_temperature(probabilities, labels)
    assert temperature == pytest.approx(sharpness, rel=0.07)
    assert expected_calibration_error(scale_probabilities(probabilities, temperature), labels) < 0.02


def test_temperature_never_changes_the_answer():
    """Temperature scaling changes confidence, not the predicted class."""
    probabilities, _ = draw(200, 3.0)
    np.testing.assert_array_equal(scale_probabilities(probabilities, 4.2).argmax(axis=1), probabilities.argmax(axis=1))


def test_certainty_is_finite():
    """Probabilities of exactly 0 and 1, also on the wrong class, still give a temperature."""
    probabilities = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    assert np.isfinite(fit_temperature(probabilities, np.array([0, 1, 2, 1], dtype=np.int32)))


def test_no_rows_are_refused():
    """A temperature for no rows at all is an error, not a guess."""
    with pytest.raises(ValueError, match="0 rows"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=np.int32))

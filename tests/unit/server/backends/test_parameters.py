"""Numbers among the parameters of a model configuration."""

import pytest

from aisle_server.backends.parameters import count_parameter
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import ModelConfig


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("8", 8), ("2147483647", 2147483647)])
def test_a_count_is_read(text, count):
    """Whole numbers are read."""
    assert count_parameter(ModelConfig("m", parameters={"threads": text}), "threads", 3) == count


def test_an_absent_parameter_has_its_default():
    """Without the parameter the default stands."""
    assert count_parameter(ModelConfig("m"), "threads", 3) == 3


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "٣", "2147483648", "9" * 10_000])
def test_what_is_no_count_is_refused(text):
    """Signs, fractions, digits of other scripts and numbers without end are refused, with the parameter's name."""
    with pytest.raises(InvalidArgumentError, match="parameter 'threads' of model 'm' is"):
        count_parameter(ModelConfig("m", parameters={"threads": text}), "threads", 3)

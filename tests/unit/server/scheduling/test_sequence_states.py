"""What the states of a model are when a sequence starts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import ModelConfig
from aisle_server.model_config.sequence import InitialState, SequenceBatching, SequenceState
from aisle_server.scheduling.sequence_states import load_initial_states


def _config(*states: SequenceState, max_batch_size: int = 4) -> ModelConfig:
    return ModelConfig("m", max_batch_size=max_batch_size, sequence_batching=SequenceBatching(states=states))


def _state(dims: tuple[int, ...], data_file: str = "", datatype: str = "INT32") -> SequenceState:
    return SequenceState("S", "T", datatype, (-1,), (InitialState("start", datatype, dims, data_file),))


def test_a_state_starts_from_zeros(tmp_path: Path) -> None:
    """Without an initial state with one element in each dimension of any size; with one as large as that says."""
    plain = SequenceState("A", "B", "FP32", (-1, 3))
    texts = SequenceState("C", "D", "BYTES", (2,))
    states = load_initial_states(_config(plain, texts, _state((5,))), tmp_path)
    assert {name: tensor.shape for name, tensor in states.items()} == {"A": (1, 1, 3), "C": (1, 2), "S": (1, 5)}
    assert not states["A"].data.any()
    assert states["C"].data.tolist() == [[b"", b""]]


@pytest.mark.parametrize("max_batch_size", [0, 4])
def test_a_state_may_start_from_a_file(tmp_path: Path, max_batch_size: int) -> None:
    """Raw contents in the folder `initial_state` of the model, without the batch dimension."""
    (tmp_path / "initial_state").mkdir()
    (tmp_path / "initial_state" / "seven").write_bytes(np.array([7, 8], "<i4").tobytes())
    config = _config(_state((2,), "seven"), max_batch_size=max_batch_size)
    assert load_initial_states(config, tmp_path)["S"].data.reshape(-1).tolist() == [7, 8]


@pytest.mark.parametrize(
    ("dims", "data_file", "text"),
    [
        ((2,), "none", "file 'none' of input 'S' cannot be read: No such file or directory"),
        ((2,), "short", "file 'short' of input 'S' has 4 bytes, expected 8"),
        (
            (1,),
            "../config.pbtxt",
            "file '../config.pbtxt' of input 'S' lies outside the folder 'initial_state' of the model",
        ),
        ((1,), "link", "file 'link' of input 'S' lies outside the folder 'initial_state' of the model"),
        ((1 << 13, 1 << 14), "", "state 'S' starts with dims [8192, 16384], expected at most 67108864 elements"),
    ],
)
def test_a_file_that_is_not_the_state_is_refused(
    tmp_path: Path, dims: tuple[int, ...], data_file: str, text: str
) -> None:
    """A file that is missing, elsewhere or of another size keeps the model from loading."""
    (tmp_path / "initial_state").mkdir()
    (tmp_path / "config.pbtxt").write_bytes(b"1234")
    (tmp_path / "initial_state" / "short").write_bytes(b"1234")
    (tmp_path / "initial_state" / "link").symlink_to(tmp_path / "config.pbtxt")
    with pytest.raises(InvalidArgumentError, match=f"^{re.escape(text)}$"):
        load_initial_states(_config(_state(dims, data_file)), tmp_path)

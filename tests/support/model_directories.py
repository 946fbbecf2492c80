"""Model repositories that a test writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

ECHO = """
backend: "identity" max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_FP32 dims: 4 }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: 4 }
"""


def write_model(
    repository: Path,
    name: str,
    config: str | None = ECHO,
    *,
    versions: Sequence[int] = (1,),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a model directory.

    Args:
        repository: Where models lie.
        name: Of the model.
        config: Of config.pbtxt; None for no such file.
        versions: Directories to make.
        files: More files of the model directory, by path.
    """
    directory = repository / name
    directory.mkdir(parents=True, exist_ok=True)
    for version in versions:
        (directory / str(version)).mkdir(exist_ok=True)
    if config is not None:
        (directory / "config.pbtxt").write_text(config)
    for path, text in (files or {}).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory


def chain(*models: str, max_batch_size: int = 8) -> str:
    """Return the configuration of an ensemble that sends INPUT0 through models one after the other."""
    tensors = ["INPUT0", *(f"t{index}" for index in range(1, len(models))), "OUTPUT0"]
    steps = "\n".join(
        f'step {{ model_name: "{model}" model_version: -1'
        f' input_map {{ key: "INPUT0" value: "{source}" }} output_map {{ key: "OUTPUT0" value: "{target}" }} }}'
        for model, source, target in zip(models, tensors[:-1], tensors[1:], strict=True)
    )
    return f"""
platform: "ensemble" max_batch_size: {max_batch_size}
input {{ name: "INPUT0" data_type: TYPE_FP32 dims: 4 }}
output {{ name: "OUTPUT0" data_type: TYPE_FP32 dims: 4 }}
ensemble_scheduling {{ {steps} }}
"""

"""Model repositories on disk, of models that answer what they were asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def write_identity_model(
    repository: Path,
    name: str,
    tensors: Sequence[tuple[str, str, Sequence[int]]] = (("0", "FP32", (16,)),),
    *,
    max_batch_size: int = 8,
    parameters: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
    versions: Sequence[int] = (1,),
    extra: str = "",
) -> Path:
    """Write a model that answers INPUT<i> as OUTPUT<i>.

    Args:
        repository: Where models lie.
        name: Of the model.
        tensors: Suffix, datatype and dims of each.
        max_batch_size: 0 for none.
        parameters: Of the model, such as `execute_delay_ms`.
        labels: Names of the classes of each output.
        versions: Directories to make.
        extra: More of config.pbtxt, as it stands there.

    Returns:
        The model's directory.
    """
    directory = repository / name
    for version in versions:
        (directory / str(version)).mkdir(parents=True)
    lines = [f'name: "{name}"', 'backend: "identity"', f"max_batch_size: {max_batch_size}"]
    label_filename = ""
    if labels:
        (directory / "labels.txt").write_text("\n".join(labels) + "\n")
        label_filename = ' label_filename: "labels.txt"'
    for suffix, datatype, dims in tensors:
        kind = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
        shape = f"data_type: {kind} dims: [{', '.join(map(str, dims))}]"
        lines.append(f'input {{ name: "INPUT{suffix}" {shape} }}')
        lines.append(f'output {{ name: "OUTPUT{suffix}" {shape}{label_filename} }}')
    for key, value in (parameters or {}).items():
        lines.append(f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}')
    (directory / "config.pbtxt").write_text("\n".join([*lines, extra, ""]))
    return directory

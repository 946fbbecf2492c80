"""Model repositories on disk: models that answer what they were asked, and models written in Python by a test."""

from __future__ import annotations

import textwrap
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


def write_python_model(repository: Path, name: str, code: str, config: str, *, filename: str = "model.py") -> Path:
    """Write a python model.

    Args:
        repository: Where models lie.
        name: Of the model.
        code: Of its class, indented as the test likes; NumPy, `time`, `threading` and `pb_utils` are imported.
        config: Of config.pbtxt, all but name and backend.
        filename: Of the code.

    Returns:
        The model's directory.
    """
    directory = repository / name
    (directory / "1").mkdir(parents=True, exist_ok=True)
    (directory / "config.pbtxt").write_text(f'name: "{name}"\nbackend: "python"\n{config}\n')
    head = "import threading\nimport time\n\nimport numpy as np\nimport triton_python_backend_utils as pb_utils\n\n"
    (directory / "1" / filename).write_text(head + textwrap.dedent(code))
    return directory

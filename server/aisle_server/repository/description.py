"""A model as its directory describes it, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.autocomplete import complete_from_files
from aisle_server.model_config.pbtxt import MAX_CONFIG_BYTES, parse_config
from aisle_server.model_config.schema import ModelConfig
from aisle_server.model_config.validation import validate_config, validate_tensors
from aisle_server.repository.layout import (
    CONFIG_FILENAME,
    ModelDirectory,
    first_version_entries,
    modification_time_ns,
    read_text,
    refuse_escaping_links,
    version_directories,
    versions_to_load,
)


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What there is to load.

    Attributes:
        config: Validated; a backend may have to fill in tensors.
        directory: Where the model lies.
        versions: Version -> directory: those that the version policy asks for, one or more.
        modified_ns: When anything in the directory was last modified.
    """

    config: ModelConfig
    directory: ModelDirectory
    versions: Mapping[int, Path]
    modified_ns: int


def describe(directory: ModelDirectory, available_gpus: Sequence[int] = ()) -> ModelDescription:
    """Read a model directory. Blocks.

    Args:
        directory: From `layout.scan`.
        available_gpus: Ids of the GPUs that instances may use.

    Raises:
        InferenceServerError: The configuration is wrong, there is no version to load, or a link leads out of the repository.
    """
    # Taken first: what changes while we read is newer than what we read, and shows at the next poll.
    modified_ns = modification_time_ns(directory)
    refuse_escaping_links(directory)
    config = _read_config(directory)
    available = version_directories(directory)
    config = complete_from_files(
        config, directory.name, first_version_entries(available), available_gpus=available_gpus
    )
    validate_config(config, available_gpus=available_gpus)
    if config.is_ensemble:
        validate_tensors(config)  # no backend will fill them in
    versions = versions_to_load(config.version_policy, available)
    if not versions:
        raise InvalidArgumentError(messages.no_version_to_load(config.name))
    return ModelDescription(config, directory, {version: available[version] for version in versions}, modified_ns)


def _read_config(directory: ModelDirectory) -> ModelConfig:
    try:
        text = read_text(
            directory.path / CONFIG_FILENAME,
            within=directory.repository,
            limit_bytes=MAX_CONFIG_BYTES,
            what=f"{CONFIG_FILENAME} of model '{directory.name}'",
        )
    except FileNotFoundError:
        return ModelConfig(name="")  # all of it is left to autocomplete
    return parse_config(text)

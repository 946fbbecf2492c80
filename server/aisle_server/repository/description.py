"""A model as its directory describes it, before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.autocomplete import complete_from_files
from aisle_server.model_config.pbtxt import MAX_CONFIG_BYTES, parse_config
from aisle_server.model_config.schema import ModelConfig
from aisle_server.model_config.validation import validate_config, validate_tensors
from aisle_server.repository.footprint import Footprint, take_footprint
from aisle_server.repository.layout import (
    CONFIG_FILENAME,
    ModelDirectory,
    first_version_entries,
    read_text,
    refuse_escaping_links,
    version_directories,
    versions_to_load,
)
from aisle_server.repository.override import OverrideDirectory


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """How model directories are read.

    Attributes:
        available_gpus: Ids of the GPUs that instances may use.
        gpu_backends: Backends whose models use them when a configuration leaves the choice; None for all.
        needs_config: A model without config.pbtxt is refused, not known by its files.
    """

    available_gpus: tuple[int, ...] = ()
    gpu_backends: frozenset[str] | None = None
    needs_config: bool = False


DEFAULT_RULES: Final = ReadingRules()


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What there is to load.

    Attributes:
        config: Validated; a backend may have to fill in tensors.
        directory: Where the model lies.
        versions: Version -> directory: those that the version policy asks for, one or more.
        footprint: What the directory looked like.
        is_overridden: The configuration came with the request to load, not from the directory.
        files: The directory is one that came with the request to load; None when it lies in a repository.
    """

    config: ModelConfig
    directory: ModelDirectory
    versions: Mapping[int, Path]
    footprint: Footprint
    is_overridden: bool = False
    files: OverrideDirectory | None = None

    @property
    def name(self) -> str:
        """Of the model."""
        return self.config.name

    def versions_unchanged_since(self, older: ModelDescription) -> frozenset[int]:
        """Return the versions that need not be loaded anew.

        Their files are the same, and so is the configuration but for instance groups and version policy.
        There is none when nothing tells why the directory is newer: somebody has touched it, to have the model loaded anew.
        """
        same_policy = replace(
            older.config, instance_groups=self.config.instance_groups, version_policy=self.config.version_policy
        )
        is_same_place = self.directory == older.directory
        if not is_same_place or same_policy != self.config or not self.footprint.has_same_files_beside(older.footprint):
            return frozenset()
        common = self.versions.keys() & older.versions.keys()
        same = frozenset(number for number in common if self.footprint.has_same_part(older.footprint, str(number)))
        is_explained = older.config != self.config or self.versions.keys() != older.versions.keys() or same != common
        return same if is_explained else frozenset()


def describe(
    directory: ModelDirectory,
    rules: ReadingRules = DEFAULT_RULES,
    override: ModelConfig | None = None,
    files: OverrideDirectory | None = None,
) -> ModelDescription:
    """Read a model directory. Blocks.

    Args:
        directory: From `layout.scan`.
        rules: How.
        override: Stands in the place of config.pbtxt, for all of it.
        files: The directory is theirs.

    Raises:
        InferenceServerError: The configuration is wrong, there is no version to load, or a link leads out of the repository.
    """
    # Taken first: what changes while we read is newer than what we read, and shows at the next poll.
    footprint = take_footprint(directory)
    refuse_escaping_links(directory)
    config = _read_config(directory, rules) if override is None else override
    available = version_directories(directory)
    config = complete_from_files(
        config,
        directory.name,
        first_version_entries(available),
        available_gpus=rules.available_gpus,
        gpu_backends=rules.gpu_backends,
    )
    validate_config(config, available_gpus=rules.available_gpus)
    if config.is_ensemble:
        validate_tensors(config)  # no backend will fill them in
    versions = versions_to_load(config.version_policy, available)
    if not versions:
        raise InvalidArgumentError(messages.no_version_to_load(config.name))
    return ModelDescription(
        config,
        directory,
        {version: available[version] for version in versions},
        footprint,
        is_overridden=override is not None,
        files=files,
    )


def _read_config(directory: ModelDirectory, rules: ReadingRules) -> ModelConfig:
    try:
        text = read_text(
            directory.path / CONFIG_FILENAME,
            within=directory.repository,
            limit_bytes=MAX_CONFIG_BYTES,
            what=f"{CONFIG_FILENAME} of model '{directory.name}'",
        )
    except FileNotFoundError:
        if rules.needs_config:
            raise InvalidArgumentError(
                f"model '{directory.name}' has no {CONFIG_FILENAME}, and --disable-auto-complete-config is on"
            ) from None
        return ModelConfig(name="")  # all of it is left to autocomplete
    return parse_config(text)

"""Which versions are ready, loading, leaving or broken, and why: looked up by every request, written by the lifecycle.

Touched by the event loop alone.

Source: Triton, "Model Management"; texts and states as its clients know them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aisle_server import messages
from aisle_server.errors import InferenceServerError, NotFoundError, UnavailableError
from aisle_server.inference import LATEST_VERSION
from aisle_server.model_config.schema import ModelConfig
from aisle_server.repository.dependencies import composing_models
from aisle_server.repository.description import ModelDescription
from aisle_server.repository.served_model import ServedModel
from aisle_server.repository.states import ModelIndex, ModelState


@dataclass(slots=True, eq=False)
class VersionRecord:
    """Where one version stands.

    Attributes:
        state: Never UNKNOWN.
        reason: Why it is not ready; empty when it is.
        served: Set while it is ready, and while it is leaving.
    """

    state: ModelState = ModelState.LOADING
    reason: str = ""
    served: ServedModel | None = None


@dataclass(slots=True, eq=False)
class ModelRecord:
    """What is known of a model that somebody asked to load.

    Attributes:
        versions: By number.
        failure: Why no version could even be tried; empty when one was.
        description: What is in service; None when nothing is.
        step_configs: For an ensemble in service, the configuration that it was fitted to of each step's model.
        target: What should be in service. It differs from `description` while that fails, and when an ensemble had to leave with a
            model that it needs; None when nobody wants the model any more.
        is_explicit: Asked for by name, not merely needed by an ensemble.
    """

    versions: dict[int, VersionRecord] = field(default_factory=dict)
    failure: str = ""
    description: ModelDescription | None = None
    step_configs: Sequence[ModelConfig] = ()
    target: ModelDescription | None = None
    is_explicit: bool = False

    def is_ready(self) -> bool:
        """Whether no version is missing that should be there."""
        fine = {ModelState.READY, ModelState.UNLOADING}
        if any(version.state is ModelState.READY for version in self.versions.values()):
            fine.add(ModelState.LOADING)
        return all(each.state in fine or each.reason == messages.UNLOADED for each in self.versions.values())

    def ready_versions(self) -> dict[int, ServedModel]:
        """Return the versions that are ready, ascending."""
        return {
            number: version.served
            for number, version in sorted(self.versions.items())
            if version.state is ModelState.READY and version.served is not None
        }


class ServingTable:
    """The records of all models, and the look-up that requests use.

    Attributes:
        models: By name: every model that somebody asked to load.
    """

    def __init__(self) -> None:
        """Make an empty table."""
        self.models: dict[str, ModelRecord] = {}
        # One look-up a request: LATEST_VERSION is a key of its own.
        self._ready: dict[tuple[str, int], ServedModel] = {}
        # Out of service, and still there for ensembles that are finishing what they had accepted.
        self._leaving: dict[tuple[str, int], ServedModel] = {}

    def served(self, name: str, version: int) -> ServedModel:
        """Return a version that is ready.

        Args:
            name: Of the model.
            version: LATEST_VERSION for the highest that is ready.

        Raises:
            NotFoundError: No such model or version, or none is ready.
            UnavailableError: The version is known, and is not ready.
        """
        served = self._ready.get((name, version))
        if served is None:
            raise self._not_served(name, version)
        return served

    def served_for_step(self, name: str, version: int) -> ServedModel:
        """Return a version for a step of an ensemble: as `served`, but one that is leaving will do."""
        served = self._ready.get((name, version)) or self._leaving.get((name, version))
        if served is None:
            raise self._not_served(name, version)
        return served

    def find(self, name: str, version: int) -> ServedModel | None:
        """Return a version that is ready, None when it is not."""
        return self._ready.get((name, version))

    def all_served(self) -> tuple[ServedModel, ...]:
        """Return every version that is ready, by name and version."""
        keys = sorted(key for key in self._ready if key[1] != LATEST_VERSION)
        return tuple(self._ready[key] for key in keys)

    def descriptions(self) -> dict[str, ModelDescription]:
        """Return what is in service, by name."""
        return {name: record.description for name, record in self.models.items() if record.description is not None}

    def needs(self) -> dict[str, tuple[str, ...]]:
        """Return the models in service, and which models each of them needs."""
        return {name: composing_models(each.config) for name, each in self.descriptions().items()}

    def wanted_needs(self) -> dict[str, tuple[str, ...]]:
        """Return the models that should be in service, and which models each of them needs."""
        return {
            name: composing_models(record.target.config)
            for name, record in self.models.items()
            if record.target is not None
        }

    def record(self, name: str) -> ModelRecord:
        """Return what is known of a model, a new record when nothing is."""
        return self.models.setdefault(name, ModelRecord())

    def publish(self, name: str) -> None:
        """Bring the look-up in line with the record of a model. What falls out of it is leaving."""
        before = {key: served for key, served in self._ready.items() if key[0] == name}
        after: dict[tuple[str, int], ServedModel] = {}
        for number, served in self.models[name].ready_versions().items():
            after[name, number] = after[name, LATEST_VERSION] = served
        for key, served in before.items():
            if key not in after:
                self._leaving[key] = served
                del self._ready[key]
        self._ready.update(after)

    def forget(self, served: ServedModel) -> None:
        """Drop a version that has left."""
        for key in [key for key, each in self._leaving.items() if each is served]:
            del self._leaving[key]

    def is_every_model_ready(self) -> bool:
        """Whether each version that should be ready is.

        One that is leaving, or was unloaded on purpose, should not; nor need one that is still loading while another version serves
        the model. Triton waits for those too, so that a load balancer takes a server away for as long as it updates a model.
        """
        return all(not model.failure and model.is_ready() for model in self.models.values())

    def index(self, directories: Mapping[str, Sequence[object]], *, ready_only: bool) -> list[ModelIndex]:
        """List models and versions, by name and version.

        Args:
            directories: Model -> its directories on disk, whether anybody asked to load it or not. A model that has two is not
                available; one that has none is not listed.
            ready_only: Leave out what is not ready.
        """
        lines: list[ModelIndex] = []
        for name, places in sorted(directories.items()):
            model = self.models.get(name, ModelRecord())
            if len(places) > 1:
                lines.append(ModelIndex(name, None, ModelState.UNAVAILABLE, messages.DUPLICATE_MODEL))
            elif model.versions:
                versions = sorted(model.versions.items())
                lines += [ModelIndex(name, number, each.state, each.reason) for number, each in versions]
            else:
                state = ModelState.UNAVAILABLE if model.failure else ModelState.UNKNOWN
                lines.append(ModelIndex(name, None, state, model.failure))
        return [line for line in lines if line.state is ModelState.READY] if ready_only else lines

    def _not_served(self, name: str, version: int) -> InferenceServerError:
        model = self.models.get(name)
        if model is None:
            return NotFoundError(messages.unknown_model(name))
        if version == LATEST_VERSION:
            return NotFoundError(messages.no_available_versions(name))
        if version in model.versions:
            return UnavailableError(messages.version_not_ready(name, version))
        return NotFoundError(messages.unknown_version(name, version))

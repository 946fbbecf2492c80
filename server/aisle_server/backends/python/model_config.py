"""`pb_utils.ModelConfig`, which `auto_complete_config` fills in, and the functions that read a model configuration.

Source: Triton's python backend, "auto_complete_config".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Fields: TypeAlias = dict[str, Any]

_INPUT_FIELDS: Final = frozenset({"name", "data_type", "dims", "optional"})
_OUTPUT_FIELDS: Final = frozenset({"name", "data_type", "dims"})
_REQUIRED_FIELDS: Final = ("name", "data_type", "dims")


class ModelConfig:
    """A model configuration that its model may complete, and not contradict.

    Every method that sets something raises ValueError when the config.pbtxt says otherwise.
    """

    def __init__(self, model_config: str) -> None:
        """Read a configuration.

        Args:
            model_config: A JSON object by Triton's field names.
        """
        self._model_config: Fields = json.loads(model_config)

    def as_dict(self) -> Fields:
        """Return the configuration so far, to be read."""
        return self._model_config

    def set_max_batch_size(self, max_batch_size: int) -> None:
        """Set how many rows one execution takes; the config.pbtxt may ask for fewer, and not for more."""
        configured = self._model_config["max_batch_size"]
        if configured > max_batch_size:
            raise ValueError(
                f"configuration specified max_batch_size {configured}, but in auto-complete-config function for model"
                f" '{self._name}' specified max_batch_size {max_batch_size}"
            )
        self._model_config["max_batch_size"] = max_batch_size

    def set_dynamic_batching(self) -> None:
        """Switch the dynamic batcher on, with its defaults unless the config.pbtxt sets it."""
        for scheduler in ("sequence_batching", "ensemble_scheduling"):
            if scheduler in self._model_config:
                raise ValueError(
                    f"Configuration specified scheduling_choice as '{scheduler}', but auto-complete-config function for model"
                    f" '{self._name}' tries to set scheduling_choice as 'dynamic_batching'"
                )
        self._model_config.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, transaction_policy_dict: Mapping[str, bool]) -> None:
        """Say whether a request may have any number of responses.

        Args:
            transaction_policy_dict: `{"decoupled": ...}`.
        """
        unknown = set(transaction_policy_dict) - {"decoupled"}
        if unknown:
            raise ValueError(
                f"model transaction property in auto-complete-config function for model '{self._name}' contains property"
                f" other than 'decoupled': {_listed(unknown)}"
            )
        policy = self._model_config.setdefault("model_transaction_policy", {})
        for key, value in transaction_policy_dict.items():
            if policy.setdefault(key, value) != value:
                raise ValueError(
                    f"trying to change decoupled property in auto-complete-config for model '{self._name}', which is already set"
                    f" to '{policy[key]}'."
                )

    def add_input(self, input: Mapping[str, Any]) -> None:
        """Add an input, or complete the one of the same name.

        Args:
            input: `name`, `data_type` such as TYPE_FP32, `dims` without the batch dimension, and maybe `optional`.
        """
        self._add("input", input, _INPUT_FIELDS)

    def add_output(self, output: Mapping[str, Any]) -> None:
        """Add an output, or complete the one of the same name.

        Args:
            output: `name`, `data_type` and `dims`, as of an input.
        """
        self._add("output", output, _OUTPUT_FIELDS)

    @property
    def _name(self) -> str:
        return str(self._model_config["name"])

    def _add(self, kind: str, tensor: Mapping[str, Any], allowed: frozenset[str]) -> None:
        place = f"auto-complete-config function for model '{self._name}'"
        if "name" not in tensor:
            raise ValueError(f"{kind} in {place} is missing 'name' property.")
        name = tensor["name"]
        for field in _REQUIRED_FIELDS:
            if field not in tensor:
                raise ValueError(f"{kind} '{name}' in {place} is missing '{field}' property.")
        if not tensor.keys() <= allowed:
            raise ValueError(
                f"{kind} '{name}' in {place} contains property other than {_listed(allowed)}: {_listed(tensor.keys() - allowed)}"
            )
        tensors: list[Fields] = self._model_config[kind]
        known = next((each for each in tensors if each["name"] == name), None)
        if known is None:
            tensors.append(dict(tensor))
            return
        if known["data_type"] not in ("TYPE_INVALID", tensor["data_type"]):
            raise ValueError(
                f"unable to load model '{self._name}', configuration expects datatype {known['data_type']} for {kind}"
                f" '{name}', model provides {tensor['data_type']}"
            )
        if known["dims"] and known["dims"] != list(tensor["dims"]):
            raise ValueError(
                f"model '{self._name}', tensor '{name}': the model expects dims {list(tensor['dims'])} but the model"
                f" configuration specifies dims {known['dims']}"
            )
        # A plain field of protobuf does not tell false from unset, so only an input that is optional by its file can contradict.
        if known.get("optional") and not tensor.get("optional", True):
            raise ValueError(
                f"model '{self._name}', tensor '{name}': the model expects optional False but the model configuration"
                " specifies optional True"
            )
        known.update(tensor)


def get_input_config_by_name(model_config: Mapping[str, Any], name: str) -> Fields | None:
    """Return the fields of an input of a model configuration, None when there is none of that name."""
    return _by_name(model_config.get("input", ()), name)


def get_output_config_by_name(model_config: Mapping[str, Any], name: str) -> Fields | None:
    """Return the fields of an output of a model configuration, None when there is none of that name."""
    return _by_name(model_config.get("output", ()), name)


def using_decoupled_model_transaction_policy(model_config: Mapping[str, Any]) -> bool:
    """Return whether a request of this model may have any number of responses."""
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled", False))


def _by_name(tensors: Any, name: str) -> Fields | None:
    return next((tensor for tensor in tensors if tensor["name"] == name), None)


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))

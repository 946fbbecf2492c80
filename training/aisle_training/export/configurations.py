"""The `config.pbtxt` of each model that is exported.

Names, datatypes and shapes of tensors are a public interface; what else stands here is how the models are run, and may
be edited in the repository.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf import text_format

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_training.confidence.rules import DecisionRules
from aisle_training.export.classifiers import FAMILIARITY, Classifier, TensorSpec
from aisle_training.export.taxonomy import Taxonomy
from aisle_training.modalities.encoder import Encoder
from aisle_training.recipes.recipe import FUSION

LABELS: Final = "labels.txt"
MAX_BATCH_SIZE: Final = 64
# A server reads a config.pbtxt of 1 MiB at most.
MAX_TAXONOMY_BYTES: Final = 2**19

PLATFORMS: Final = {"onnx": "onnxruntime_onnx", "savedmodel": "tensorflow_savedmodel"}
# The names that Triton expects of a file, or folder, of each platform.
MODEL_FILES: Final = {"onnx": "model.onnx", "savedmodel": "model.savedmodel"}

_DATA_TYPES: Final = {
    "BYTES": pb.TYPE_STRING,
    "UINT8": pb.TYPE_UINT8,
    "INT32": pb.TYPE_INT32,
    "FP32": pb.TYPE_FP32,
}


def preprocess_config(encoder: Encoder, encoders: Sequence[Encoder], array: TensorSpec) -> pb.ModelConfig:
    """Configure the preprocess model of a modality.

    Args:
        encoder: Of the modality.
        encoders: Of all modalities; the inputs of the others tell how many rows to make where its own is absent.
        array: The input of its classifier.
    """
    files = encoder.preprocess_files()
    is_optional = len(encoders) > 1
    return pb.ModelConfig(
        name=f"{encoder.name}_preprocess",
        backend="python",
        max_batch_size=MAX_BATCH_SIZE,
        # Its own input first: by this the model knows which one it is.
        input=[_input(_bytes(each), optional=is_optional) for each in (encoder, *_without(encoder, encoders))],
        output=[_output(array), _output(TensorSpec(encoder.present_name, "FP32", (1,)))],
        instance_group=[pb.ModelInstanceGroup(kind=pb.ModelInstanceGroup.KIND_CPU, count=files.instances)],
        dynamic_batching=pb.ModelDynamicBatching(),
        parameters=_parameters(files.parameters),
    )


def classifier_config(classifier: Classifier, file_format: str) -> pb.ModelConfig:
    """Configure a classifier.

    Args:
        classifier: Its tensors.
        file_format: A key of `PLATFORMS`.
    """
    config = pb.ModelConfig(
        name=classifier.name,
        platform=PLATFORMS[file_format],
        max_batch_size=MAX_BATCH_SIZE,
        input=[_input(spec) for spec in classifier.inputs],
        output=[_output(spec, labelled=spec.name == "PROBABILITIES") for spec in classifier.outputs],
        # On a GPU where the server has one. One instance: a batch uses all cores, and grows while the last one runs.
        instance_group=[pb.ModelInstanceGroup(kind=pb.ModelInstanceGroup.KIND_AUTO, count=1)],
        dynamic_batching=pb.ModelDynamicBatching(),
    )
    warmup = config.model_warmup.add(name="one row of zeros", batch_size=1)
    for spec in classifier.inputs:
        warmup.inputs[spec.name].CopyFrom(
            pb.ModelWarmup.Input(data_type=_data_type(spec), dims=spec.dims, zero_data=True)
        )
    return config


def decision_parameters(rules: DecisionRules, taxonomy: Taxonomy) -> dict[str, str]:
    """Say by what clients decide, as parameters of an ensemble.

    Args:
        rules: Of the classifier that the ensemble ends in.
        taxonomy: Ids and names of the categories. One of more than `MAX_TAXONOMY_BYTES` stands in its file alone.

    Returns:
        `decisions`, and `taxonomy` where it is not too large.
    """
    parameters = {"decisions": json.dumps(rules.to_plain(), separators=(",", ":"))}
    text = taxonomy.to_json(indent=None)
    if len(text_format.MessageToString(pb.ModelParameter(string_value=text))) <= MAX_TAXONOMY_BYTES:
        parameters["taxonomy"] = text
    return parameters


def ensemble_configs(
    encoders: Sequence[Encoder],
    classes: int,
    parameters: Mapping[str, str],
    decisions: Mapping[str, Mapping[str, str]] | None = None,
    *,
    has_familiarity: bool = False,
) -> list[pb.ModelConfig]:
    """Configure the ensembles that clients ask: one for each modality, and `product_categorizer` for all of them.

    Args:
        encoders: Of the modalities. Where there is one, `product_categorizer` is that one's categorizer by another name.
        classes: Number of categories.
        parameters: What the ensembles tell about where they come from.
        decisions: For each classifier, further parameters of the ensembles that end in it.
        has_familiarity: Whether the classifiers measure familiarity, which the ensembles then pass on.
    """
    outputs = [_output(TensorSpec("CATEGORY", "FP32", (classes,)), labelled=True)]
    if has_familiarity:
        outputs.append(_output(TensorSpec(FAMILIARITY, "FP32", (1,))))

    def ensemble(name: str, given: Sequence[Encoder], steps: Sequence[pb.ModelEnsembling.Step]) -> pb.ModelConfig:
        last = pb.ModelEnsembling.Step()
        last.CopyFrom(steps[-1])
        if has_familiarity:
            last.output_map[FAMILIARITY] = FAMILIARITY
        return pb.ModelConfig(
            name=name,
            platform="ensemble",
            max_batch_size=MAX_BATCH_SIZE,
            input=[_input(_bytes(encoder), optional=len(given) > 1) for encoder in given],
            output=outputs,
            ensemble_scheduling=pb.ModelEnsembling(step=[*steps[:-1], last]),
            parameters=_parameters({**parameters, **(decisions or {}).get(last.model_name, {})}),
        )

    single = [ensemble(f"{encoder.name}_categorizer", [encoder], _single_steps(encoder)) for encoder in encoders]
    steps = _fused_steps(encoders) if len(encoders) > 1 else _single_steps(encoders[0])
    return [*single, ensemble("product_categorizer", encoders, steps)]


def _single_steps(encoder: Encoder) -> list[pb.ModelEnsembling.Step]:
    name, array = encoder.input_name, encoder.array_name
    return [
        _step(f"{encoder.name}_preprocess", {name: name}, {array: array}),
        _step(encoder.classifier, {array: array}, {"PROBABILITIES": "CATEGORY"}),
    ]


def _fused_steps(encoders: Sequence[Encoder]) -> list[pb.ModelEnsembling.Step]:
    given = {encoder.input_name: encoder.input_name for encoder in encoders}
    names = Counter(encoder.array_name for encoder in encoders)
    # Two texts both have TOKEN_IDS, but an ensemble's tensor is written once.
    arrays = {
        encoder: encoder.array_name if names[encoder.array_name] == 1 else f"{encoder.input_name}_{encoder.array_name}"
        for encoder in encoders
    }
    preprocess = [
        _step(
            f"{encoder.name}_preprocess",
            given,
            {encoder.array_name: array, encoder.present_name: encoder.present_name},
        )
        for encoder, array in arrays.items()
    ]
    classify = [
        _step(encoder.classifier, {encoder.array_name: array}, {"EMBEDDING": encoder.embedding_name})
        for encoder, array in arrays.items()
    ]
    tensors = {name: name for name in fusion_input_names(encoders)}
    return [*preprocess, *classify, _step(FUSION, tensors, {"PROBABILITIES": "CATEGORY"})]


def fusion_input_names(encoders: Sequence[Encoder]) -> list[str]:
    """Name the inputs of the fusion classifier: all embeddings, then what is present."""
    return [encoder.embedding_name for encoder in encoders] + [encoder.present_name for encoder in encoders]


def model_comments(encoders: Sequence[Encoder]) -> dict[str, str]:
    """Say what each exported model does, for the top of its `config.pbtxt`."""
    comments = {}
    for encoder in encoders:
        others = " and ".join(each.input_name for each in _without(encoder, encoders))
        comments[f"{encoder.name}_preprocess"] = f"{encoder.input_noun} to {encoder.array_noun}." + (
            f" {others} only tell{'' if ' and ' in others else 's'} how many rows to make where {encoder.input_name} is absent."
            if others
            else ""
        )
        comments[encoder.classifier] = (
            f"{encoder.array_noun.capitalize()} to an embedding and calibrated probabilities."
        )
        comments[f"{encoder.name}_categorizer"] = f"A {encoder.noun} to the probability of each category."
    several = "Both" if len(encoders) == 2 else "All"
    comments[FUSION] = f"{several} embeddings, and which of them stand for a real input, to calibrated probabilities."
    given = [f"{'a' if place else 'A'} {encoder.noun}" for place, encoder in enumerate(encoders)]
    if len(given) > 1:
        given.append("or both" if len(given) == 2 else "or several of them")
    missing = " An empty element counts as missing." if len(encoders) > 1 else ""
    comments["product_categorizer"] = f"{', '.join(given)} to the probability of each category.{missing}"
    return comments


_BATCHING_COMMENT: Final = (
    "No queue delay: a batch takes what has queued up while the last one ran. On a CPU a row in a batch costs nearly what it "
    "costs alone, so waiting for company cannot pay. On a GPU try max_queue_delay_microseconds: 1000."
)


def config_text(config: pb.ModelConfig, comment: str) -> str:
    """Spell a model configuration as the text of its `config.pbtxt`, with a comment on what the model does."""
    comments = [comment, "Written by `aisle export`."]
    if config.HasField("dynamic_batching"):
        comments.append(_BATCHING_COMMENT)
    header = "".join(f"# {line}\n" for comment in comments for line in textwrap.wrap(comment, width=118))
    return f"{header}\n{text_format.MessageToString(config)}"


def _without(encoder: Encoder, encoders: Sequence[Encoder]) -> list[Encoder]:
    return [each for each in encoders if each is not encoder]


def _bytes(encoder: Encoder) -> TensorSpec:
    return TensorSpec(encoder.input_name, "BYTES", (1,))


def _parameters(parameters: Mapping[str, str]) -> dict[str, pb.ModelParameter]:
    return {key: pb.ModelParameter(string_value=value) for key, value in parameters.items()}


def _step(model: str, input_map: Mapping[str, str], output_map: Mapping[str, str]) -> pb.ModelEnsembling.Step:
    """A step of an ensemble; version -1 is the latest. Maps go from the model's tensor to the ensemble's."""
    return pb.ModelEnsembling.Step(model_name=model, model_version=-1, input_map=input_map, output_map=output_map)


def _input(spec: TensorSpec, *, optional: bool = False) -> pb.ModelInput:
    return pb.ModelInput(name=spec.name, data_type=_data_type(spec), dims=spec.dims, optional=optional)


def _output(spec: TensorSpec, *, labelled: bool = False) -> pb.ModelOutput:
    return pb.ModelOutput(
        name=spec.name, data_type=_data_type(spec), dims=spec.dims, label_filename=LABELS if labelled else ""
    )


def _data_type(spec: TensorSpec) -> pb.DataType:
    return _DATA_TYPES[spec.datatype]

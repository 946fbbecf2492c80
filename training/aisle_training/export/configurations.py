"""The `config.pbtxt` of each model that is exported.

Names, datatypes and shapes of tensors are a public interface; what else stands here is how the models are run, and may
be edited in the repository.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf import text_format

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_training.export.classifiers import Classifier, TensorSpec

LABELS: Final = "labels.txt"
MAX_BATCH_SIZE: Final = 64

PLATFORMS: Final = {"onnx": "onnxruntime_onnx", "savedmodel": "tensorflow_savedmodel"}
# The names that Triton expects of a file, or folder, of each platform.
MODEL_FILES: Final = {"onnx": "model.onnx", "savedmodel": "model.savedmodel"}

_DATA_TYPES: Final = {
    "BYTES": pb.TYPE_STRING,
    "UINT8": pb.TYPE_UINT8,
    "INT32": pb.TYPE_INT32,
    "FP32": pb.TYPE_FP32,
}
_IMAGE: Final = TensorSpec("IMAGE", "BYTES", (1,))
_TITLE: Final = TensorSpec("TITLE", "BYTES", (1,))
_IMAGE_PRESENT: Final = TensorSpec("IMAGE_PRESENT", "FP32", (1,))
_TITLE_PRESENT: Final = TensorSpec("TITLE_PRESENT", "FP32", (1,))


def image_preprocess_config(pixels: TensorSpec) -> pb.ModelConfig:
    """Configure `image_preprocess`.

    Args:
        pixels: The input of the image classifier.
    """
    # Two: decoders release the interpreter lock, and a photo takes longer to decode than to classify.
    config = _preprocess_config("image_preprocess", (pixels, _IMAGE_PRESENT), instances=2)
    config.input.extend([_input(_IMAGE, optional=True), _input(_TITLE, optional=True)])
    return config


def title_preprocess_config(token_ids: TensorSpec) -> pb.ModelConfig:
    """Configure `title_preprocess`.

    Args:
        token_ids: The input of the title classifier.
    """
    config = _preprocess_config("title_preprocess", (token_ids, _TITLE_PRESENT), instances=1)
    config.input.extend([_input(_TITLE, optional=True), _input(_IMAGE, optional=True)])
    return config


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


def ensemble_configs(classes: int, parameters: Mapping[str, str]) -> list[pb.ModelConfig]:
    """Configure the three ensembles that clients ask.

    Args:
        classes: Number of categories.
        parameters: What the ensembles tell about where they come from.
    """
    category = TensorSpec("CATEGORY", "FP32", (classes,))
    image_steps = [
        _step("image_preprocess", {"IMAGE": "IMAGE"}, {"PIXELS": "PIXELS"}),
        _step("image_classifier", {"PIXELS": "PIXELS"}, {"PROBABILITIES": "CATEGORY"}),
    ]
    title_steps = [
        _step("title_preprocess", {"TITLE": "TITLE"}, {"TOKEN_IDS": "TOKEN_IDS"}),
        _step("title_classifier", {"TOKEN_IDS": "TOKEN_IDS"}, {"PROBABILITIES": "CATEGORY"}),
    ]
    both = {"IMAGE": "IMAGE", "TITLE": "TITLE"}
    fused = ("IMAGE_EMBEDDING", "TITLE_EMBEDDING", "IMAGE_PRESENT", "TITLE_PRESENT")
    product_steps = [
        _step("image_preprocess", both, {name: name for name in ("PIXELS", "IMAGE_PRESENT")}),
        _step("title_preprocess", both, {name: name for name in ("TOKEN_IDS", "TITLE_PRESENT")}),
        _step("image_classifier", {"PIXELS": "PIXELS"}, {"EMBEDDING": "IMAGE_EMBEDDING"}),
        _step("title_classifier", {"TOKEN_IDS": "TOKEN_IDS"}, {"EMBEDDING": "TITLE_EMBEDDING"}),
        _step("fusion_classifier", {name: name for name in fused}, {"PROBABILITIES": "CATEGORY"}),
    ]
    return [
        _ensemble("image_categorizer", [_input(_IMAGE)], category, image_steps, parameters),
        _ensemble("title_categorizer", [_input(_TITLE)], category, title_steps, parameters),
        _ensemble(
            "product_categorizer",
            [_input(_IMAGE, optional=True), _input(_TITLE, optional=True)],
            category,
            product_steps,
            parameters,
        ),
    ]


_COMMENTS: Final = {
    "image_preprocess": "Encoded pictures (JPEG, PNG, WebP, GIF, BMP, TIFF) to pixels. TITLE only tells how many rows to "
    "make where IMAGE is absent.",
    "title_preprocess": "Titles in UTF-8 to token ids. IMAGE only tells how many rows to make where TITLE is absent.",
    "image_classifier": "Pixels to an embedding and calibrated probabilities.",
    "title_classifier": "Token ids to an embedding and calibrated probabilities.",
    "fusion_classifier": "Both embeddings, and which of them stand for a real input, to calibrated probabilities.",
    "image_categorizer": "A picture to the probability of each category.",
    "title_categorizer": "A title to the probability of each category.",
    "product_categorizer": "A picture, a title, or both to the probability of each category. An empty element counts as "
    "missing.",
}
# MobileNetV2 at 96 pixels in ONNX Runtime, one thread: 1.20 ms a row alone, 1.12 in a batch of 8, 1.30 in one of 64.
_BATCHING_COMMENT: Final = (
    "No queue delay: a batch takes what has queued up while the last one ran. On CPU a picture in a batch of 8 costs 0.93 "
    "of one alone, so waiting for company cannot pay. On a GPU try max_queue_delay_microseconds: 1000."
)


def config_text(config: pb.ModelConfig) -> str:
    """Spell a model configuration as the text of its `config.pbtxt`, with a comment on what the model does."""
    comments = [_COMMENTS[config.name], "Written by `aisle export`."]
    if config.HasField("dynamic_batching"):
        comments.append(_BATCHING_COMMENT)
    header = "".join(f"# {line}\n" for comment in comments for line in textwrap.wrap(comment, width=118))
    return f"{header}\n{text_format.MessageToString(config)}"


def _preprocess_config(name: str, outputs: Sequence[TensorSpec], instances: int) -> pb.ModelConfig:
    return pb.ModelConfig(
        name=name,
        backend="python",
        max_batch_size=MAX_BATCH_SIZE,
        output=[_output(spec) for spec in outputs],
        instance_group=[pb.ModelInstanceGroup(kind=pb.ModelInstanceGroup.KIND_CPU, count=instances)],
        dynamic_batching=pb.ModelDynamicBatching(),
    )


def _ensemble(
    name: str,
    inputs: Sequence[pb.ModelInput],
    category: TensorSpec,
    steps: Sequence[pb.ModelEnsembling.Step],
    parameters: Mapping[str, str],
) -> pb.ModelConfig:
    return pb.ModelConfig(
        name=name,
        platform="ensemble",
        max_batch_size=MAX_BATCH_SIZE,
        input=inputs,
        output=[_output(category, labelled=True)],
        ensemble_scheduling=pb.ModelEnsembling(step=steps),
        parameters={key: pb.ModelParameter(string_value=value) for key, value in parameters.items()},
    )


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

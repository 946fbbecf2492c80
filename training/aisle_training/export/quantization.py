"""Image networks in 8-bit integers: a smaller file, and faster where the processor multiplies bytes.

Weights are rounded to int8, a scale for each channel; feature maps to uint8, with the ranges that they have on training
pictures. Only convolutions and what lies between them: the head stays in float32, for its sums are short and its
rounding would show in every probability.

Source: ONNX Runtime, "Quantize ONNX models", static quantisation in the QDQ format.
"""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.catalogue.splits import read_split
from aisle_training.datasets import Labels, Pixels, Progress, no_progress, select_split
from aisle_training.export.classifiers import EMBEDDING_AND_PROBABILITIES, Classifier
from aisle_training.export.onnx_file import open_onnx, write_onnx
from aisle_training.export.parity import check_parity
from aisle_training.modalities.image import ImageEncoder
from aisle_training.modalities.registry import create_encoders
from aisle_training.runs import RunFolder

# An activation takes part so that it is merged with its convolution, whose sums are then rounded once, within its range.
QUANTIZED_OPERATIONS: Final = ("Conv", "Clip", "Relu", "Add", "GlobalAveragePool")
BATCH_ROWS: Final = 16


@dataclass(frozen=True)
class Measured:
    """How an image classifier's file does.

    Attributes:
        accuracy: Fraction of the pictures told right.
        milliseconds: Processor time a picture, one at a time, on one thread; the median.
        size_bytes: Of the file.
        predicted: Class of each picture, [rows].
    """

    accuracy: float
    milliseconds: float
    size_bytes: int
    predicted: npt.NDArray[np.int64]


def quantize_run(
    run: RunFolder,
    catalogue: Catalogue,
    output: Path,
    split: str,
    calibration_pictures: int,
    on_progress: Progress = no_progress,
) -> tuple[Measured, Measured]:
    """Round the image classifier of a run, and measure it before and after.

    Args:
        run: A run with a trained image classifier.
        catalogue: The catalogue that it was trained on.
        output: The ONNX file to write.
        split: On which accuracy is measured, "validation" or "test".
        calibration_pictures: Of the training split, drawn by the recipe's seed.
        on_progress: Called with the number of products whose pictures are decoded, and of all.

    Returns:
        Figures of the network in float32, and of the file that was written.

    Raises:
        ValueError: The run has no image classifier, or a split has no picture.
        ExportError: The network cannot be written as ONNX, or does not answer there as it does in Keras.
        CatalogueError: The catalogue is not the one that the run was trained on.
    """
    encoders = [encoder for encoder in create_encoders(run.recipe(), run.path) if isinstance(encoder, ImageEncoder)]
    if not encoders:
        raise ValueError(f"{run.path} has no image classifier, only {', '.join(run.recipe().modalities)}")
    encoder = encoders[0]
    products, split_by_id = catalogue.products(), read_split(run.split_path, catalogue)
    calibration, held_out = (select_split(products, split_by_id, part, run.labels()) for part in ("train", split))
    pictured = [product for product in calibration.products if encoder.has(product)]
    drawn = np.random.default_rng(run.recipe().seed).permutation(len(pictured))[:calibration_pictures]
    encoded = encoder.encode([*(pictured[row] for row in drawn), *held_out.products], on_progress)
    seen, measured = encoded[: len(drawn)], encoded[len(drawn) :]
    if not seen.present.any() or not measured.present.any():
        raise ValueError(f"the splits 'train' and {split!r} need pictures that can be read")
    model = run.load_classifier(encoder.classifier)
    classifier = Classifier.of(
        encoder.classifier, model, [encoder.array_name], EMBEDDING_AND_PROBABILITIES, encoder.highest
    )
    with tempfile.TemporaryDirectory(prefix="aisle-quantize-") as folder:
        whole = Path(folder) / "model.onnx"
        write_onnx(classifier, whole)
        check_parity(classifier, open_onnx(whole))
        quantize_image_classifier(whole, output, seen.array[seen.present])
        figures = measure_image_classifiers(
            [whole, output], measured.array[measured.present], held_out.labels[measured.present]
        )
    return figures[0], figures[1]


def quantize_image_classifier(path: Path, quantized: Path, pixels: Pixels) -> None:
    """Round an image classifier to 8-bit integers.

    Args:
        path: The ONNX file in float32, with the input `PIXELS`.
        quantized: The ONNX file to write, with the same inputs and outputs.
        pixels: Training pictures, [rows, size, size, 3], on which the ranges of the feature maps are measured; some
            hundred are enough.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Pictures(CalibrationDataReader):  # type: ignore[misc]
        """The training pictures, in batches."""

        def __init__(self) -> None:
            starts = range(0, len(pixels), BATCH_ROWS)
            self._batches = iter([{"PIXELS": pixels[start : start + BATCH_ROWS]} for start in starts])

        def get_next(self) -> Any:
            return next(self._batches, None)

    with tempfile.TemporaryDirectory(prefix="aisle-quantize-") as folder:
        # Batch normalisations go into their convolutions first: rounded apart, each would have a range of its own.
        fused = Path(folder) / "fused.onnx"
        quant_pre_process(str(path), str(fused), skip_symbolic_shape=True)
        # ONNX Runtime's tools log to the root logger that this has been done already.
        logging.disable(logging.WARNING)
        try:
            quantize_static(
                str(fused),
                str(quantized),
                Pictures(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTIZED_OPERATIONS),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)


def measure_image_classifiers(paths: list[Path], pixels: Pixels, labels: Labels, timed: int = 50) -> list[Measured]:
    """Measure image classifiers on the same pictures, by turns, so that what else runs slows all of them alike.

    Args:
        paths: ONNX files.
        pixels: Pictures that they were not trained on, [rows, size, size, 3].
        labels: True classes, [rows].
        timed: How many pictures are timed.

    Returns:
        Figures of each.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in paths]

    def answer(session: Any, start: int, rows: int) -> npt.NDArray[np.float32]:
        return np.asarray(session.run(["PROBABILITIES"], {"PIXELS": pixels[start : start + rows]})[0])

    seconds: list[list[float]] = [[] for _ in paths]
    for row in range(min(timed + 1, len(pixels))):
        for session, taken in zip(sessions, seconds, strict=True):
            # A session of one thread computes on the caller's: its processor time is that of the picture.
            begun = time.thread_time()
            answer(session, row, 1)
            taken.append(time.thread_time() - begun)
    figures = []
    for path, session, taken in zip(paths, sessions, seconds, strict=True):
        predicted = np.concatenate([answer(session, start, 64).argmax(axis=1) for start in range(0, len(pixels), 64)])
        # The first picture pays for the memory of all others.
        milliseconds = 1000 * float(np.median(taken[1:] or taken))
        figures.append(Measured(float((predicted == labels).mean()), milliseconds, path.stat().st_size, predicted))
    return figures

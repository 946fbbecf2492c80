"""What an export writes, and that it answers like the networks it was made from."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from click.testing import CliRunner
from google.protobuf import text_format

from aisle_protocol.generated import model_config_pb2
from aisle_training.commands.export import export
from aisle_training.confidence.familiarity import Familiarity
from aisle_training.confidence.rules import DecisionRules, rules_from_json
from aisle_training.confidence.thresholds import Thresholds
from aisle_training.export.configurations import decision_parameters
from aisle_training.export.errors import ExportError
from aisle_training.export.exporter import ExportedModel, export_run
from aisle_training.export.taxonomy import Node, Taxonomy
from aisle_training.recipes.tiny import RECIPE
from aisle_training.runs import RunFolder
from tests.support.untrained_run import LABELS, write_untrained_run

CLASSES = len(LABELS)
SIZE, LENGTH = RECIPE.modalities["image"].picture_size, RECIPE.modalities["title"].length
IMAGE_EMBEDDING, TITLE_EMBEDDING = 64, 32

# name -> (inputs, outputs), each name -> (data type, dims). A public interface.
BYTES = ("TYPE_STRING", (1,))
FLAG = ("TYPE_FP32", (1,))
PROBABILITIES = ("TYPE_FP32", (CLASSES,))
PIXELS, TOKEN_IDS = ("TYPE_UINT8", (SIZE, SIZE, 3)), ("TYPE_INT32", (LENGTH,))
TABLE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "image_preprocess": ({"IMAGE": BYTES, "TITLE": BYTES}, {"PIXELS": PIXELS, "IMAGE_PRESENT": FLAG}),
    "title_preprocess": ({"TITLE": BYTES, "IMAGE": BYTES}, {"TOKEN_IDS": TOKEN_IDS, "TITLE_PRESENT": FLAG}),
    "image_classifier": (
        {"PIXELS": PIXELS},
        {"EMBEDDING": ("TYPE_FP32", (IMAGE_EMBEDDING,)), "PROBABILITIES": PROBABILITIES, "FAMILIARITY": FLAG},
    ),
    "title_classifier": (
        {"TOKEN_IDS": TOKEN_IDS},
        {"EMBEDDING": ("TYPE_FP32", (TITLE_EMBEDDING,)), "PROBABILITIES": PROBABILITIES, "FAMILIARITY": FLAG},
    ),
    "fusion_classifier": (
        {
            "IMAGE_EMBEDDING": ("TYPE_FP32", (IMAGE_EMBEDDING,)),
            "TITLE_EMBEDDING": ("TYPE_FP32", (TITLE_EMBEDDING,)),
            "IMAGE_PRESENT": FLAG,
            "TITLE_PRESENT": FLAG,
        },
        {"PROBABILITIES": PROBABILITIES, "FAMILIARITY": FLAG},
    ),
    "image_categorizer": ({"IMAGE": BYTES}, {"CATEGORY": PROBABILITIES, "FAMILIARITY": FLAG}),
    "title_categorizer": ({"TITLE": BYTES}, {"CATEGORY": PROBABILITIES, "FAMILIARITY": FLAG}),
    "product_categorizer": ({"IMAGE": BYTES, "TITLE": BYTES}, {"CATEGORY": PROBABILITIES, "FAMILIARITY": FLAG}),
}
CATEGORIZERS = ["image_categorizer", "title_categorizer", "product_categorizer"]
CLASSIFIERS = ["image_classifier", "title_classifier", "fusion_classifier"]


def config_of(repository: Path, name: str) -> Any:
    """A model's configuration, read back."""
    text = (repository / name / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def files_of(folder: Path) -> set[str]:
    """The files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def drawn(name: str, rows: int) -> dict[str, np.ndarray]:
    """Inputs of a classifier."""
    random = np.random.default_rng(rows)
    draw = {
        "PIXELS": lambda: random.integers(0, 256, (rows, SIZE, SIZE, 3), dtype=np.uint8),
        "TOKEN_IDS": lambda: random.integers(0, 30, (rows, LENGTH), dtype=np.int32),
        "IMAGE_EMBEDDING": lambda: random.normal(size=(rows, IMAGE_EMBEDDING)).astype(np.float32),
        "TITLE_EMBEDDING": lambda: random.normal(size=(rows, TITLE_EMBEDDING)).astype(np.float32),
        "IMAGE_PRESENT": lambda: np.arange(rows).reshape(-1, 1).astype(np.float32) % 2,
        "TITLE_PRESENT": lambda: (np.arange(rows).reshape(-1, 1) < rows / 2).astype(np.float32),
    }
    return {tensor: draw[tensor]() for tensor in TABLE[name][0]}


def familiarity_of(run: RunFolder, name: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> np.ndarray:
    """What the run's familiarity says of each row, by the embeddings that the row has."""
    familiarity = Familiarity.load(run.familiarity_path)
    if name != "fusion_classifier":
        return familiarity({name.removesuffix("_classifier"): np.asarray(outputs["EMBEDDING"])})[:, None]
    scores = np.zeros((len(inputs["IMAGE_PRESENT"]), 1))
    for row in range(len(scores)):
        given = [each for each in ("image", "title") if inputs[f"{each.upper()}_PRESENT"][row]]
        if given:
            scores[row] = familiarity({each: inputs[f"{each.upper()}_EMBEDDING"][row : row + 1] for each in given})
    return scores


def assert_answers_like_the_network(run: RunFolder, name: str, rows: int, outputs: dict[str, np.ndarray]) -> None:
    """Hold outputs for `drawn(name, rows)` against the Keras network in this process."""
    inputs = drawn(name, rows)
    network = run.load_classifier(name)
    expected = network(inputs if len(inputs) > 1 else next(iter(inputs.values())), training=False)
    expected = {**expected, "FAMILIARITY": familiarity_of(run, name, inputs, expected)}
    assert set(outputs) == set(expected) == set(TABLE[name][1])
    for tensor, (_, dims) in TABLE[name][1].items():
        assert outputs[tensor].shape == (rows, *dims)
        assert outputs[tensor].dtype == np.float32
        np.testing.assert_allclose(outputs[tensor], expected[tensor], atol=1e-3 if tensor == "FAMILIARITY" else 1e-4)
    probabilities = outputs["PROBABILITIES"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert probabilities.max() - probabilities.min() > 0.05  # a flat answer would prove nothing


@pytest.mark.parametrize("name", TABLE)
def test_configuration(onnx_repository: Path, name: str) -> None:
    """Each configuration states the tensors of the public interface."""
    config = config_of(onnx_repository, name)
    data_type = model_config_pb2.DataType.Name
    assert config.name == name
    assert config.max_batch_size == 64
    inputs, outputs = TABLE[name]
    assert {each.name: (data_type(each.data_type), tuple(each.dims)) for each in config.input} == inputs
    assert {each.name: (data_type(each.data_type), tuple(each.dims)) for each in config.output} == outputs
    optional = name in ("image_preprocess", "title_preprocess", "product_categorizer")
    assert all(each.optional == optional for each in config.input)
    labelled = {each.name for each in config.output if each.label_filename}
    assert labelled == set(outputs) & {"PROBABILITIES", "CATEGORY"}


@pytest.mark.parametrize(
    "name", [name for name, (_, outputs) in TABLE.items() if {"PROBABILITIES", "CATEGORY"} & set(outputs)]
)
def test_labels(onnx_repository: Path, name: str) -> None:
    """Each output of probabilities has a label file with the whole paths, in the order of the classes."""
    config = config_of(onnx_repository, name)
    (label_filename,) = {output.label_filename for output in config.output if output.label_filename}
    lines = (onnx_repository / name / label_filename).read_text(encoding="utf-8").splitlines()
    assert lines == [" > ".join(path) for path in LABELS]


@pytest.mark.parametrize("name", CATEGORIZERS)
def test_ensemble_is_connected(onnx_repository: Path, name: str) -> None:
    """Every step of an ensemble maps tensors that its model has, and reads what a step before it, or a caller, wrote."""
    config = config_of(onnx_repository, name)
    written = set(TABLE[name][0])
    read: set[str] = set()
    for step in config.ensemble_scheduling.step:
        inputs, outputs = TABLE[step.model_name]
        assert set(step.input_map) <= set(inputs)
        assert set(step.output_map) <= set(outputs)
        assert set(step.input_map.values()) <= written
        assert not set(step.output_map.values()) & written
        read |= set(step.input_map.values())
        written |= set(step.output_map.values())
    assert written - read == {"CATEGORY", "FAMILIARITY"}


def test_ensembles_say_where_they_come_from(onnx_repository: Path) -> None:
    """An ensemble's parameters name the recipe, the catalogue and the sizes it was trained with."""
    parameters = config_of(onnx_repository, "product_categorizer").parameters
    others = {"aisle_version", "decisions", "taxonomy"}
    assert {key: value.string_value for key, value in parameters.items() if key not in others} == {
        "recipe": "tiny",
        "catalogue_sha256": "5" * 64,
        "picture_size": str(SIZE),
        "title_length": str(LENGTH),
    }


@pytest.mark.parametrize("name", CATEGORIZERS)
def test_ensembles_say_how_to_decide(run: RunFolder, onnx_repository: Path, name: str) -> None:
    """An ensemble's parameters hold the rules of the classifier that it ends in, and the taxonomy, as its file does."""
    config = config_of(onnx_repository, name)
    rules = rules_from_json(run.decisions_path.read_text(encoding="utf-8"))
    expected = rules[config.ensemble_scheduling.step[-1].model_name]
    assert DecisionRules.from_plain(json.loads(config.parameters["decisions"].string_value)) == expected
    taxonomy = json.loads(config.parameters["taxonomy"].string_value)
    assert taxonomy == json.loads((onnx_repository / name / "taxonomy.json").read_text(encoding="utf-8"))
    assert [node["name"] for node in taxonomy["nodes"] if node["parent"] is None] == ["Home", "Clothing", "کتاب"]


def test_a_large_taxonomy_stands_in_its_file_alone() -> None:
    """A taxonomy that would make a configuration too large for a server to read is not among the parameters."""
    taxonomy = Taxonomy([Node(f"{number:06}", (f"دسته {number}",)) for number in range(10_000)])
    rules = DecisionRules(1, {("title",): {0.95: Thresholds((0.9,))}})
    assert set(decision_parameters(rules, taxonomy)) == {"decisions"}


def test_a_run_without_rules(tmp_path: Path) -> None:
    """A run that has no decision rules is exported with CATEGORY alone."""
    run = write_untrained_run(tmp_path / "run")
    run.decisions_path.unlink()
    export_run(run, tmp_path / "models")
    config = config_of(tmp_path / "models", "product_categorizer")
    assert [output.name for output in config.output] == ["CATEGORY"]
    assert not {"decisions", "taxonomy"} & set(config.parameters)


def test_files(onnx_repository: Path) -> None:
    """The repository holds exactly these files, and no code of Aisle but the preprocessors'."""
    modules = {"model.py", "product_rows.py", "title_normalization.py"}
    expected = {f"{name}/config.pbtxt" for name in TABLE}
    expected |= {f"{name}/labels.txt" for name in TABLE if not name.endswith("_preprocess")}
    expected |= {f"{name}/1/model.onnx" for name in CLASSIFIERS}
    expected |= {f"image_preprocess/1/{module}" for module in modules | {"images.py"}}
    expected |= {
        f"title_preprocess/1/{module}" for module in modules | {"titles.py", "title_ngrams.py", "tokenizer.json"}
    }
    expected |= {f"{name}/{file}" for name in CATEGORIZERS for file in ("1/.gitkeep", "taxonomy.json", "MODEL_CARD.md")}
    expected |= {f"{name}/golden.json" for name in TABLE}
    assert {file for file in files_of(onnx_repository) if "__pycache__" not in file} == expected


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_onnx_tensors(onnx_repository: Path, name: str) -> None:
    """An ONNX file passes ONNX's own check and has the tensors of its configuration, with one symbolic batch."""
    path = onnx_repository / name / "1" / "model.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    types = {"TYPE_UINT8": "tensor(uint8)", "TYPE_INT32": "tensor(int32)", "TYPE_FP32": "tensor(float)"}
    for tensors, expected in zip((session.get_inputs(), session.get_outputs()), TABLE[name], strict=True):
        assert {each.name: (each.type, each.shape) for each in tensors} == {
            tensor: (types[data_type], ["batch", *dims]) for tensor, (data_type, dims) in expected.items()
        }


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_onnx_answers_like_the_network(run: RunFolder, onnx_repository: Path, name: str, rows: int) -> None:
    """An exported ONNX network answers like the trained one, whatever the batch."""
    path = onnx_repository / name / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = dict(
        zip([output.name for output in session.get_outputs()], session.run(None, drawn(name, rows)), strict=True)
    )
    assert_answers_like_the_network(run, name, rows, outputs)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_savedmodel_answers_like_the_network(run: RunFolder, savedmodel_repository: Path, name: str, rows: int) -> None:
    """An exported SavedModel's serving signature answers like the trained network, whatever the batch."""
    assert config_of(savedmodel_repository, name).platform == "tensorflow_savedmodel"
    loaded = tf.saved_model.load(str(savedmodel_repository / name / "1" / "model.savedmodel"))
    outputs = loaded.signatures["serving_default"](
        **{tensor: tf.constant(array) for tensor, array in drawn(name, rows).items()}
    )
    assert_answers_like_the_network(run, name, rows, {tensor: array.numpy() for tensor, array in outputs.items()})


def test_missing_inputs_have_no_influence(onnx_repository: Path) -> None:
    """The exported fusion network ignores the embedding of an input that is flagged as missing, NaN included."""
    session = onnxruntime.InferenceSession(
        onnx_repository / "fusion_classifier" / "1" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    inputs = drawn("fusion_classifier", 4) | {"IMAGE_PRESENT": np.zeros((4, 1), np.float32)}
    inputs["TITLE_PRESENT"] = np.ones((4, 1), np.float32)
    expected = session.run(None, inputs)
    outputs = session.run(None, inputs | {"IMAGE_EMBEDDING": np.full((4, IMAGE_EMBEDDING), np.nan, np.float32)})
    for output, before in zip(outputs, expected, strict=True):
        assert (output == before).all()


def test_versions(run: RunFolder, onnx_repository: Path, tmp_path: Path) -> None:
    """The same version again replaces all of its files; another version stands beside it."""
    repository = tmp_path / "models"
    shutil.copytree(onnx_repository, repository, ignore=shutil.ignore_patterns("__pycache__"))
    first = files_of(repository)
    (repository / "title_classifier" / "1" / "stale.bin").touch()
    export_run(run, repository)
    assert files_of(repository) == first
    reports: list[ExportedModel] = []
    export_run(run, repository, version=10, on_model=reports.append)
    assert files_of(repository) == first | {file.replace("/1/", "/10/") for file in first}
    assert [report.name for report in reports] == sorted(TABLE)
    assert all(report.size_bytes > 0 for report in reports)
    assert {report.name for report in reports if report.largest_difference is not None} == set(CLASSIFIERS)


def test_failed_export_changes_nothing(tmp_path: Path) -> None:
    """When a run cannot be exported the repository stays as it was, and the text says what was wrong."""
    run = write_untrained_run(tmp_path / "run")
    run.write_labels(LABELS[1:])
    repository = tmp_path / "models"
    with pytest.raises(ExportError, match="gives 5 probabilities, but the run has 4 labels"):
        export_run(run, repository)
    run.write_labels(LABELS)
    run.classifier_path("fusion_classifier").unlink()
    with pytest.raises(ValueError, match="holds no fusion_classifier.keras"):
        export_run(run, repository)
    assert not repository.exists()


def test_unknown_format_and_version(run: RunFolder, tmp_path: Path) -> None:
    """A format or version that cannot be written is refused."""
    with pytest.raises(ExportError, match="unknown format 'tflite', expected one of onnx, savedmodel"):
        export_run(run, tmp_path / "models", file_format="tflite")
    with pytest.raises(ExportError, match="the version is 0, expected 1 or more"):
        export_run(run, tmp_path / "models", version=0)


def environment(backend: str) -> dict[str, str]:
    """The environment of a process that finds Aisle where this one does, with a Keras backend."""
    return {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}


def test_other_backends_are_told(run: RunFolder, tmp_path: Path) -> None:
    """On another Keras backend an export says which one it needs."""
    program = (
        "import sys, pathlib\n"
        "from aisle_training.export.exporter import export_run\n"
        "from aisle_training.runs import RunFolder\n"
        "export_run(RunFolder(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(run.path), str(tmp_path / "models")],
        env=environment("jax"),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert result.returncode == 1
    assert "Keras runs on jax, but exporting needs TensorFlow: set KERAS_BACKEND=tensorflow" in result.stderr


def test_command(run: RunFolder, tmp_path: Path) -> None:
    """`aisle export` writes the repository and lists its models."""
    repository = tmp_path / "models"
    named = json.loads(Taxonomy.of(LABELS).to_json())
    named["nodes"][0]["names"]["fa"] = "خانه"
    (tmp_path / "named.json").write_text(json.dumps(named), encoding="utf-8")
    arguments = [str(run.path), "--model-repository", str(repository), "--format", "onnx", "--version", "3"]
    result = CliRunner().invoke(export, [*arguments, "--taxonomy", str(tmp_path / "named.json")])
    assert result.exit_code == 0, result.output
    taxonomy = (repository / "title_categorizer" / "taxonomy.json").read_text(encoding="utf-8")
    assert json.loads(taxonomy) == named
    *lines, last = result.output.splitlines()
    assert [line.split()[0] for line in lines] == sorted(TABLE)
    assert last == f"version 3 of all models is in {repository}"
    assert {path.name for path in repository.iterdir()} == set(TABLE)


def test_command_chooses_the_backend(tmp_path: Path) -> None:
    """`aisle export` runs on TensorFlow whatever the environment asks for, and refuses a folder that is no run."""
    result = subprocess.run(
        [
            sys.executable,
            *("-c", "from aisle_training.commands.export import export; export()", str(tmp_path)),
            *("--model-repository", str(tmp_path / "models")),
        ],
        env=environment("jax"),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("is no run folder: it holds no file recipe.json")
    assert "Traceback" not in result.stderr

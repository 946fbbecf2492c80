"""Decisions: read from a model's configuration, made from an answer, the very ones that training counts."""

import json

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_client import (
    AsyncCategorizer,
    AsyncInferenceClient,
    Categorizer,
    Category,
    ClientOptions,
    InferenceClient,
    InvalidInputError,
    Product,
    ProtocolError,
    RetryPolicy,
    UnavailableError,
)
from aisle_client.decisions import read_policy
from aisle_training.confidence.decisions import decide
from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.thresholds import Thresholds
from tests.support.fake_triton import FakeAsyncTransport, FakeTransport, FakeTriton, Refusal

ONCE = ClientOptions(retry=RetryPolicy(max_attempts=1))
ENTRY = {"levels": [0.6, 0.7, 0.9], "familiarity": 0.04, "strange": 0.001}
LENIENT = {"levels": [0.5, 0.5, 0.7], "familiarity": 0.04, "strange": 0.001}
DECISIONS = json.dumps({"levels": 3, "inputs": {"title": {"0.95": LENIENT, "0.98": ENTRY}, "image": {"0.95": ENTRY}}})
TAXONOMY = json.dumps(
    {
        "nodes": [
            {"id": "a1", "parent": None, "name": "Apparel", "names": {"fa": "پوشاک"}},
            {"id": "b2", "parent": "a1", "name": "Topwear", "names": {}},
            {"id": "c3", "parent": "b2", "name": "Shirts", "names": {"fa": "پیراهن", "de": "Hemden"}},
        ]
    }
)


@pytest.fixture
def fake():
    """A server whose model has thresholds and a taxonomy."""
    fake = FakeTriton()
    fake.parameters = {"decisions": DECISIONS, "taxonomy": TAXONOMY}
    return fake


def _categorizer(fake, **settings):
    return Categorizer(InferenceClient(ONCE, transport=FakeTransport(fake)), **settings)


def _policy(decisions, outputs=("CATEGORY", "FAMILIARITY"), taxonomy=""):
    parameters = {"decisions": {"string_value": decisions}, "taxonomy": {"string_value": taxonomy}}
    return read_policy({"name": "m", "parameters": parameters, "output": [{"name": name} for name in outputs]})


def test_an_automatic_answer(fake):
    """A sure and familiar leaf is `auto`, with its id and its path in the taxonomy's languages."""
    answer = _categorizer(fake).categorize("Blue cotton shirts")
    decision = answer.decision
    assert (decision.action, decision.path) == ("auto", ("Apparel", "Topwear", "Shirts"))
    assert decision.confidence == pytest.approx(0.709375)
    assert (decision.precision, decision.familiarity, decision.node_id) == (0.95, 0.5, "c3")
    assert decision.translations == {"fa": ("پوشاک", "Topwear", "پیراهن"), "de": ("Apparel", "Topwear", "Hemden")}
    assert len(answer.alternatives) == 5
    assert "0.709, auto, from title" in repr(answer)


def test_back_off(fake):
    """At a higher precision the unsure leaf is backed off to the ancestor that is sure enough, for review."""
    decision = _categorizer(fake, precision=0.98).categorize("Blue cotton shirts").decision
    assert (decision.action, decision.path, decision.node_id) == ("review", ("Apparel", "Topwear"), "b2")
    assert decision.confidence == pytest.approx(0.709375 + 0.15)
    assert _categorizer(fake).categorize("shirts", precision=0.98).decision == decision


def test_an_unfamiliar_product(fake):
    """An unfamiliar product is never answered automatically, and about a strange one nothing is said."""
    categorizer = _categorizer(fake)
    assert categorizer.categorize("odd shirts").decision.action == "review"
    decision = categorizer.categorize("alien shirts").decision
    assert (decision.action, decision.path, decision.confidence, decision.node_id) == ("abstain", (), 0.0, "")


def test_batches_are_decided(fake):
    """Each row of a batch has the decision for its own inputs; none where these have no thresholds."""
    products = [Product("shirts"), Product("alien watches"), Product(image=b"\x00"), Product("shirts", b"\x00")]
    outcomes = _categorizer(fake).categorize_batch(products)
    actions = [outcome.categorization.decision and outcome.categorization.decision.action for outcome in outcomes]
    assert actions == ["auto", "abstain", "review", None]


async def test_asyncio(fake):
    """The async categorizer decides alike."""
    categorizer = AsyncCategorizer(AsyncInferenceClient(ONCE, transport=FakeAsyncTransport(fake)), precision=0.98)
    assert (await categorizer.categorize("shirts")).decision.action == "review"
    (outcome,) = await categorizer.categorize_batch([Product("shirts")])
    assert outcome.categorization.decision.action == "review"


def test_as_json(fake):
    """A decision as plain values survives JSON; without one there is no such key."""
    plain = json.loads(json.dumps(_categorizer(fake).categorize("shirts").as_dict()))
    assert plain["decision"]["action"] == "auto"
    assert plain["decision"]["path"] == ["Apparel", "Topwear", "Shirts"]
    assert "decision" not in _categorizer(FakeTriton()).categorize("shirts").as_dict()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED])
def test_a_server_that_keeps_configurations_to_itself(fake, code):
    """A server that tells no configuration is asked as if there were no thresholds."""
    fake.config_refusal = Refusal(code, "not for you")
    assert _categorizer(fake).categorize("shirts").decision is None
    assert len(fake.requests[0].outputs) == 1


def test_a_server_that_is_away(fake):
    """A server that is away when its rules are read is away."""
    fake.config_refusal = Refusal(grpc.StatusCode.UNAVAILABLE, "gone")
    with pytest.raises(UnavailableError):
        _categorizer(fake).categorize("shirts")


@pytest.mark.parametrize(("precision", "text"), [(0.9, "thresholds for 0.95, 0.98"), (1.0, "between 0 and 1")])
def test_a_precision_that_is_not_offered(fake, precision, text):
    """A precision without thresholds is refused with those that there are; so is one that is no fraction."""
    with pytest.raises(InvalidInputError, match=text):
        _categorizer(fake, precision=precision).categorize("shirts")
    assert fake.requests == []


def test_a_model_without_thresholds():
    """A precision cannot be asked of a model without thresholds."""
    with pytest.raises(InvalidInputError, match="'product_categorizer' has no thresholds"):
        _categorizer(FakeTriton(), precision=0.95).categorize("shirts")


def test_rules_are_read_again(fake):
    """Rules are read once a minute: a repository that is exported anew is followed."""
    now_s = 0.0
    categorizer = _categorizer(fake, clock=lambda: now_s)
    assert categorizer.categorize("shirts").decision.action == "auto"
    fake.parameters = {}
    assert categorizer.categorize("shirts").decision is not None
    now_s = 61.0
    assert categorizer.categorize("shirts").decision is None


@pytest.mark.parametrize(
    "decisions",
    [
        "{",
        "[]",
        '{"inputs": []}',
        '{"inputs": {"title": {"0.95": {"levels": []}}}}',
        '{"inputs": {"title": {"0.95": {"levels": [0.2]}}}}',
        '{"inputs": {"title": {"high": {"levels": [0.9]}}}}',
        '{"inputs": {"title": {"0.95": {}}}}',
        "[" * 100_000,
        " " * (2**20 + 1),
    ],
)
def test_rules_that_cannot_be_read(decisions):
    """Rules that are not what they should be are an error that names the model, never a decision."""
    with pytest.raises(ProtocolError, match="rules of model 'm'"):
        _policy(decisions)


def test_no_rules():
    """Without rules, or with rules for no inputs, there is no policy."""
    assert read_policy({"name": "m"}) is None
    assert _policy('{"inputs": {}}') is None


def test_a_model_that_does_not_measure_familiarity():
    """Where the model has no such output, products are decided upon by their confidence alone."""
    policy = _policy(DECISIONS, outputs=("CATEGORY",))
    assert not policy.measures_familiarity
    assert policy.decide([Category("a > b > c", 0.95, 0)], None, ["title"], 0.98).action == "auto"


names = st.sampled_from("abc")
trees = st.lists(st.lists(names, min_size=1, max_size=3).map(tuple), min_size=1, max_size=9, unique=True)
levels = st.one_of(st.none(), st.floats(0.5, 1.0))


@given(
    trees, st.lists(levels, min_size=3, max_size=3), st.sampled_from([None, 0.0, 0.01, 0.5]), st.integers(0, 2**32 - 1)
)
def test_training_decides_alike(classes, thresholds, familiarity, seed):
    """The client comes to the decision that training counted: the same action, path and confidence."""
    hierarchy = Hierarchy(classes)
    thresholds = tuple(thresholds[: hierarchy.depth])
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(len(classes), 0.3))
    floors = (0.04, 0.001) if familiarity is not None else (None, None)
    known = None if familiarity is None else np.array([familiarity])
    expected = decide(probabilities[None], hierarchy, Thresholds(thresholds, *floors), known)
    entry = {"levels": thresholds, "familiarity": floors[0], "strange": floors[1]}
    policy = _policy(json.dumps({"inputs": {"title": {"0.95": entry}}}))
    categories = [
        Category(" > ".join(classes[index]), float(probabilities[index]), int(index))
        for index in np.argsort(-probabilities)
    ]
    decision = policy.decide(categories, familiarity, ["title"], 0.95)
    level = int(expected.levels[0])
    assert decision.action == expected.actions[0]
    assert decision.path == (hierarchy.nodes(level)[int(expected.nodes[0])] if level else ())
    assert decision.confidence == pytest.approx(float(expected.confidence[0]))

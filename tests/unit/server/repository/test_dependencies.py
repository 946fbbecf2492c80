"""Who needs whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aisle_server.model_config.schema import EnsembleScheduling, EnsembleStep, ModelConfig
from aisle_server.repository.dependencies import closure, composing_models, dependents, find_cycle, load_levels

NEEDS = {
    "both": ("picture", "title"),
    "picture": ("decode", "look"),
    "title": ("read",),
    "decode": (),
    "look": (),
    "read": (),
}
GRAPHS = st.dictionaries(
    st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=4), max_size=7
)


def test_an_ensemble_needs_each_of_its_models_once() -> None:
    """A model that two steps name is needed once; a model that is no ensemble needs none."""
    steps = tuple(EnsembleStep(name, -1, {}, {}) for name in ("b", "a", "b"))
    ensemble = ModelConfig("e", platform="ensemble", ensemble_scheduling=EnsembleScheduling(steps))
    assert composing_models(ensemble) == ("b", "a")
    assert composing_models(ModelConfig("m")) == ()


def test_what_can_be_reached_is_found_in_either_direction() -> None:
    """All that a model needs, and all that needs it, directly or not."""
    assert closure(["picture"], NEEDS) == ("picture", "decode", "look")
    assert set(closure(["read"], dependents(NEEDS))) == {"read", "title", "both"}


def test_levels_go_from_what_needs_nothing_upwards() -> None:
    """Models of a level can load side by side once the levels before are there."""
    assert load_levels(NEEDS) == ((("decode", "look", "read"), ("picture", "title"), ("both",)), ())


def test_models_that_need_each_other_have_no_place_and_the_circle_is_found() -> None:
    """A circle, and whoever needs it, is left over; the rest is not held up."""
    needs = {"a": ("b",), "b": ("c", "x"), "c": ("b",), "d": ("a",), "x": ()}
    levels, circular = load_levels(needs)
    assert levels == (("x",),)
    assert set(circular) == {"a", "b", "c", "d"}
    assert find_cycle(circular, needs) == ("b", "c")


@given(GRAPHS)
def test_every_model_stands_after_all_it_needs_or_is_held_up_by_a_circle(needs: dict[str, list[str]]) -> None:
    """In any graph, models with a place stand above all they need, and the others lead to a true circle."""
    levels, circular = load_levels(needs)
    level_of = {name: number for number, level in enumerate(levels) for name in level}
    assert level_of.keys() | set(circular) == needs.keys()
    assert not level_of.keys() & set(circular)
    for name, level in level_of.items():
        assert all(each not in needs or level_of[each] < level for each in needs[name])
    if circular:
        circle = find_cycle(circular, needs)
        assert all(following in needs[name] for name, following in zip(circle, (*circle[1:], circle[0]), strict=True))

"""Recipes: the shipped ones, their file, their overrides."""

import dataclasses

import pytest

from aisle_training.recipes.recipe import FUSION_KINDS, FusionRecipe, Recipe, Schedule
from aisle_training.recipes.registry import RECIPE_MODULES, load_recipe


@pytest.mark.parametrize("name", RECIPE_MODULES)
def test_shipped_recipe_survives_its_file(name: str):
    """Every shipped recipe carries its own name and is read back from JSON as it was written."""
    recipe = load_recipe(name)
    assert recipe.name == name
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_epochs_are_set_for_all_networks():
    """`with_epochs` changes the epochs of all three networks and nothing else."""
    recipe = load_recipe("fashion")
    short = recipe.with_epochs(1)
    assert {part.schedule.epochs for part in (*short.modalities.values(), short.fusion)} == {1}
    assert short.with_epochs(7) == recipe.with_epochs(7)
    assert short.modalities["image"].schedule.learning_rate == recipe.modalities["image"].schedule.learning_rate


def test_unknown_recipe_is_told_which_there_are():
    """A misspelt recipe is answered with the names that there are."""
    with pytest.raises(ValueError, match="unknown recipe 'fashoin', expected one of fashion, .*, shop, .*tiny"):
        load_recipe("fashoin")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "not JSON",
        '{"name": "x", "image": {}, "title": {}, "fusion": {}}',
        '{"name": "x", "modalities": {"sound": {"kind": "sound"}}, "fusion": {}}',
        "[]",
    ],
)
def test_other_files_are_no_recipe(text: str):
    """A file that is no recipe of this version is refused by name, not by a KeyError."""
    with pytest.raises(ValueError, match="no recipe of this version"):
        Recipe.from_json(text)


def test_modalities_are_chosen():
    """A recipe is cut down to some of its modalities, in its own order, and is refused any that it does not have."""
    recipe = load_recipe("tiny")
    assert list(recipe.with_modalities(["title", "image"]).modalities) == ["image", "title"]
    titles = recipe.with_modalities(["title"])
    assert titles.classifiers == ("title_classifier",)
    assert recipe.classifiers == ("image_classifier", "title_classifier", "fusion_classifier")
    assert Recipe.from_json(titles.to_json()) == titles
    with pytest.raises(ValueError, match="'tiny' has no modality sound, expected some of image, title"):
        recipe.with_modalities(["title", "sound"])
    with pytest.raises(ValueError, match="has no modalities"):
        recipe.with_modalities([])


@pytest.mark.parametrize("name", ["Title", "fusion", "product", "a b", "../x", ""])
def test_names_that_models_cannot_have(name: str):
    """A modality whose name cannot be that of its models is refused."""
    recipe = load_recipe("tiny")
    with pytest.raises(ValueError, match="expected small letters"):
        dataclasses.replace(recipe, modalities={name: recipe.modalities["title"]})


def test_pictures_have_one_name():
    """Pictures are the modality "image" and nothing else is, for the served models know them by this name."""
    recipe = load_recipe("tiny")
    for name, kind in (("image", "title"), ("photo", "image")):
        with pytest.raises(ValueError, match="images are named 'image'"):
            dataclasses.replace(recipe, modalities={name: recipe.modalities[kind]})


def test_a_large_catalogue_is_gone_through_fewer_times():
    """`max_steps` bounds the epochs, of which there is always one; without it, or on a small catalogue, all are done."""
    bounded = Schedule(epochs=30, max_steps=3000)
    assert [bounded.epochs_of(steps) for steps in (10, 100, 101, 547, 5000)] == [30, 30, 29, 5, 1]
    assert Schedule(epochs=30).epochs_of(5000) == 30


def test_fashion_has_each_kind_of_fusion():
    """The recipe `fashion` has a variant for each other kind of fusion, and differs from it in nothing else."""
    fashion = load_recipe("fashion")
    for kind in set(FUSION_KINDS) - {fashion.fusion.kind}:
        variant = load_recipe(f"fashion_{kind}")
        assert variant.fusion.kind == kind
        assert dataclasses.replace(variant, name="fashion", fusion=fashion.fusion) == fashion


def test_unknown_kind_of_fusion_is_refused():
    """A recipe with a misspelt kind of fusion is told which there are, before anything is trained."""
    with pytest.raises(
        ValueError, match="unknown kind of fusion 'early', expected one of late, residual, concatenation"
    ):
        FusionRecipe(kind="early")


def test_preset_is_for_bert_alone():
    """Another preset is taken by the network that starts from one, and refused where there is none."""
    assert load_recipe("titles_bert").with_preset("here").modalities["title"].preset == "here"
    with pytest.raises(ValueError, match="'tiny' has no network that starts from a preset"):
        load_recipe("tiny").with_preset("here")
    title = load_recipe("tiny").modalities["title"]
    for numbers in ({"network": "bert"}, {"preset": "here"}):
        with pytest.raises(ValueError, match="expected one for 'bert' alone"):
            dataclasses.replace(title, **numbers)


@pytest.mark.parametrize("name", [name for name in RECIPE_MODULES if name.startswith("titles_")])
def test_title_networks_differ_in_their_network_alone(name: str):
    """The recipes that set title networks side by side read titles alone, of the classes of `fashion`."""
    recipe, fashion = load_recipe(name), load_recipe("fashion")
    assert list(recipe.modalities) == ["title"]
    assert recipe.minimum_products == fashion.minimum_products
    assert recipe.modalities["title"].members == 1
    assert recipe.modalities["title"].vocabulary_size == fashion.modalities["title"].vocabulary_size

"""Recipes say what the papers say, and users' own are checked."""

import csv
from pathlib import Path

import pytest

from keras_resnets.errors import ConfigError
from keras_resnets.training import TrainingSettings
from keras_resnets.training.recipes import Recipe, load_recipe, recipe_names, recipe_toml
from keras_resnets.training.recipes.names import parse_settings

RATES = Path(__file__).parents[1] / "data" / "recipe_rates.csv"
IMAGES = 50_000


def _rates():
    with RATES.open() as file:
        for row in csv.DictReader(file):
            yield row["recipe"], float(row["at"]), float(row["rate"])


def _schedule(settings):
    from keras_resnets.training.schedules import make_schedule

    plan = settings.plan(IMAGES)
    rate = make_schedule(settings.recipe, settings.learning_rate, plan.steps, plan.steps_per_epoch)
    return plan, rate


@pytest.mark.parametrize(
    "name, at, rate", [pytest.param(*row, id=f"{row[0]}@{row[1]:g}") for row in _rates()]
)
def test_the_learning_rate_is_the_papers(name, at, rate):
    settings = TrainingSettings(recipe=name)
    plan, schedule = _schedule(settings)
    step = at * plan.steps_per_epoch if settings.recipe.unit == "epochs" else at
    assert float(schedule(step)) == pytest.approx(rate, rel=1e-5, abs=1e-6)


def test_every_recipe_of_a_paper_has_its_rates_tested():
    ours = {"quick", "search", "finetune"}
    assert {row[0] for row in _rates()} == set(recipe_names()) - ours
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.description
        assert name in ours or (recipe.source and recipe_toml(name))
        assert Recipe.parse(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "he2015-cifar",
            {"batch_size": 128, "nesterov": False, "weight_decay": 1e-4, "decay": "l2"},
        ),
        ("he2015-cifar-110", {"warmup_error": 0.8, "warmup_from": 0.1}),
        ("he2015-imagenet", {"batch_size": 256, "scale": (256, 480), "color": "pca"}),
        ("wrn-cifar", {"nesterov": True, "weight_decay": 5e-4, "pad_mode": "reflect"}),
        ("wrn-svhn", {"network": {"dropout": 0.4}, "flip": False, "crop": "none"}),
        ("stochdepth-cifar", {"network": {"final_survival": 0.5}, "epochs": 500}),
        ("densenet-cifar", {"batch_size": 64, "nesterov": True, "weight_decay": 1e-4}),
        ("densenet-cifar-plain", {"network": {"dropout": 0.2}, "crop": "none"}),
        ("nvidia-rn50", {"momentum": 0.875, "decayed": "kernels", "label_smoothing": 0.1}),
        ("nvidia-rn50-250", {"mixup": 0.2, "epochs": 250}),
        ("rsb-a1", {"weight_decay": 0.01, "mixup": 0.2, "cutmix": 1.0, "repeats": 3}),
        ("rsb-a3", {"weight_decay": 0.02, "batch_size": 2048, "repeats": 1}),
        ("torchvision-v2", {"weight_decay": 2e-5, "erasing": 0.1, "trivial_augment": True}),
    ],
)
def test_the_rest_is_the_papers_too(name, facts):
    recipe = load_recipe(name).to_dict()
    flat = {**recipe}
    for table in ("loss", "augmentation", "schedule", "optimizer"):
        flat |= recipe[table]
    for fact, value in facts.items():
        assert flat[fact] == (list(value) if isinstance(value, tuple) else value), fact


@pytest.mark.parametrize(
    "name", ["he2015-cifar", "wrn-cifar", "stochdepth-1202", "rsb-a3", "quick"]
)
@pytest.mark.parametrize("epochs", [6, 50])
def test_a_run_of_another_length_keeps_the_fractions(name, epochs):
    whole, rate = _schedule(TrainingSettings(recipe=name))
    short, short_rate = _schedule(TrainingSettings(recipe=name, epochs=epochs))
    assert short.epochs == epochs
    for part in (0, 0.02, 0.1, 0.31, 0.45, 0.52, 0.7, 0.77, 0.9):
        expected, got = float(rate(part * whole.steps)), float(short_rate(part * short.steps))
        assert got == pytest.approx(expected, rel=0.03, abs=1e-5), part


@pytest.mark.parametrize("name", recipe_names())
@pytest.mark.sampled(3)
def test_every_recipe_makes_batches_of_its_size(name):
    import numpy as np
    import tensorflow as tf

    from keras_resnets.data.load import ImageData
    from keras_resnets.training.losses import needs_one_hot

    count = 4500
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3)).astype("uint8")
    data = ImageData(
        name="noise",
        image_shape=(8, 8, 3),
        class_names=("a", "b", "c"),
        sizes={"train": count, "validation": 1, "test": 1},
        flip=True,
        read=lambda split: tf.data.Dataset.from_tensor_slices((images, np.arange(count) % 3)),
    )
    recipe = load_recipe(name)
    batches = data.training_batches(
        recipe.batch_size,
        0,
        augmentation=recipe.augmentation,
        one_hot=needs_one_hot(recipe),
        steps=1,
    )
    got, labels = next(iter(batches))
    assert got.shape == (recipe.batch_size, 8, 8, 3)
    assert got.dtype == "uint8"
    assert labels.shape == (
        (recipe.batch_size, 3) if needs_one_hot(recipe) else (recipe.batch_size,)
    )


def test_iterations_end_within_an_epoch():
    plan = TrainingSettings(recipe="he2015-cifar").plan(45_000)
    assert (plan.steps_per_epoch, plan.steps, plan.epochs) == (351, 64_000, 183)


@pytest.mark.parametrize(("rule", "rate"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_the_rate_follows_the_batch_size_by_the_rule(rule, rate):
    settings = TrainingSettings(recipe="wrn-cifar", batch_size=512).set(scaling=rule)
    assert settings.learning_rate == pytest.approx(rate)


def test_a_file_builds_on_another_recipe(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'extends = "wrn-cifar"\nepochs = 100\n[schedule]\nmilestones = [50]\n'
        "[augmentation]\nmixup = 0.2\n"
    )
    (tmp_path / "next.toml").write_text('extends = "mine.toml"\nbatch_size = 32\n')
    recipe, wrn = load_recipe(tmp_path / "next.toml"), load_recipe("wrn-cifar")
    assert (recipe.name, recipe.epochs, recipe.batch_size) == ("next", 100, 32)
    assert recipe.schedule == wrn.schedule.replace(milestones=(50.0,))
    assert recipe.optimizer == wrn.optimizer
    assert recipe.augmentation == wrn.augmentation.replace(mixup=0.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 3\nlr = 1", "recipe mine: `lr` is not a setting"),
        (
            "epochs = 0",
            "recipe mine: `epochs` must be greater than or equal to 1. Received: epochs=0",
        ),
        ("epochs = 3\n[optimizer]\nmomentun = 0.9", "nearest: momentum"),
        ("epochs = 3\n[augmentation]\nmixup = -1", "augmentation.mixup"),
        ("epochs = 3\n[schedule]\nkind = 'step'", "`schedule.milestones` belong to `kind`='step'"),
        ("epochs = 3\n[schedule]\nkind = 'step'\nmilestones = [2, 1]", "must rise"),
        ("epochs = 3\n[schedule]\nkind = 'step'\nmilestones = [1, 4]", "within the 3 epochs"),
        ("epochs = 3\niterations = 3", "either `epochs` or `iterations`"),
        ("batch_size = 3", "either `epochs` or `iterations`"),
        ("epochs = 3\nsizes = [[0.5, 1.0]]", "`sizes` must be pairs"),
        ("epochs = 3\nextends = 4", "`extends` must be the name of a recipe"),
        ("extends = 'mine.toml'", "builds on itself"),
        ("extends = 'quik'", "nearest: quick"),
        ("epochs =", "cannot be read"),
        (
            "epochs = 3\n[schedule]\nkind = 'plateau'\nwarmup_error = 0.8\nwarmup_from = 0.1",
            "both follow the training's course",
        ),
    ],
)
def test_a_wrong_file_is_one_line(text, message, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(file)
    assert message in str(caught.value)


def test_another_kind_of_schedule_needs_no_milestones(tmp_path):
    (tmp_path / "mine.toml").write_text('extends = "wrn-cifar"\n[schedule]\nkind = "cosine"\n')
    recipe = load_recipe(tmp_path / "mine.toml")
    assert recipe == load_recipe("wrn-cifar").set(**{"schedule.kind": "cosine"}).replace(
        name="mine"
    )
    assert recipe.schedule.milestones == ()


def test_settings_are_found_by_short_names():
    recipe = load_recipe("quick").set(lr=0.05, mixup=0.2, **{"schedule.kind": "cosine"})
    assert recipe.optimizer.learning_rate == 0.05
    assert recipe.augmentation.mixup == 0.2
    assert recipe.schedule.kind == "cosine"
    assert recipe.set(**{"network.dropout": 0.1}).network == {"dropout": 0.1}
    assert recipe.set(iterations=100).epochs is None


def test_settings_are_read_from_texts():
    assert parse_settings(
        ["lr=0.05", "crop=pad", "milestones=[1, 2]", "ema=none", "flip=false"]
    ) == {
        "optimizer.learning_rate": 0.05,
        "augmentation.crop": "pad",
        "schedule.milestones": [1, 2],
        "ema": None,
        "augmentation.flip": False,
    }


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("lr", "must be NAME=VALUE"),
        ("=3", "must be NAME=VALUE"),
        ("kind=step", "schedule.kind or loss.kind"),
        ("momentun=0.9", "nearest: momentum"),
        ("description=x", "is not a setting"),
    ],
)
def test_a_wrong_text_is_one_line(pair, message):
    with pytest.raises(ConfigError, match=message):
        parse_settings([pair])


def test_reading_recipes_imports_no_framework(run_python):
    program = (
        "import sys; from keras_resnets.training.recipes import load_recipe;"
        "load_recipe('quick').set(lr=1);"
        "from keras_resnets.training.settings import TrainingSettings; TrainingSettings();"
        "print({'tensorflow', 'keras', 'numpy'} & sys.modules.keys())"
    )
    assert run_python(program).strip() == "set()"

"""Numbers that depend on the data: batch, length, average, and what is said of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets import model_config
from keras_resnets.errors import ConfigError
from keras_resnets.training import TrainingSettings
from keras_resnets.training.planning import FEW_STEPS, check_image_size, plan_lines
from keras_resnets.training.recipes import load_recipe, recipe_names

images = st.one_of(st.integers(1, 400), st.integers(1, 2_000_000))


@given(images, st.sampled_from(recipe_names()))
def test_every_recipe_fits_every_number_of_images(count, name):
    given_settings = TrainingSettings(recipe=name)
    recipe = given_settings.recipe
    settings = given_settings.fit_to(count)
    plan = settings.plan(count)
    assert settings.fit_to(count) == settings  # nothing is left to fit
    assert 1 <= settings.batch_size <= min(recipe.batch_size, count)
    assert settings.batch_size % 2 == 0 or count == 1  # odd batches are slow
    if recipe.iterations:
        assert plan.steps == recipe.iterations
    else:
        assert plan.epochs >= recipe.epochs
        assert plan.steps >= recipe.min_steps
        if plan.epochs > recipe.epochs:
            assert plan.steps < recipe.min_steps + plan.steps_per_epoch
    if count // settings.batch_size < recipe.min_epoch_steps:
        assert settings.batch_size <= 8
    if count // recipe.batch_size >= recipe.min_epoch_steps:
        assert settings.batch_size == recipe.batch_size


@given(images)
def test_the_average_remembers_a_fraction_of_the_run(count):
    settings = TrainingSettings(recipe="quick").fit_to(count)
    steps = settings.plan(count).steps
    memory = 1 / (1 - settings.recipe.ema)
    assert memory == pytest.approx(load_recipe("quick").ema_memory * steps)


def test_quick_on_cifar10_is_what_was_measured():
    """Batch 128, rate 0.2 and an average of 50 steps, in six epochs of 45,000 images."""
    settings = TrainingSettings(recipe="quick", epochs=6).fit_to(45_000)
    assert (settings.batch_size, settings.learning_rate) == (128, 0.2)
    assert settings.recipe.ema == pytest.approx(0.98, abs=5e-4)


def test_245_images_get_hundreds_of_steps():
    settings = TrainingSettings().fit_to(245)
    plan = settings.plan(245)
    assert settings.batch_size <= 16
    assert plan.steps >= 600
    assert settings.learning_rate == pytest.approx(0.2 * settings.batch_size / 128)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 64},
        {"epochs": 3},
        {"batch_size": 33, "epochs": 1},
    ],
)
def test_what_is_given_wins(changes):
    settings = TrainingSettings(**changes).fit_to(245)
    assert {name: getattr(settings, name) for name in changes} == changes


@pytest.mark.parametrize(
    ("changes", "length", "batch"),
    [
        ({"epochs": 5}, 5, 8),
        ({"batch_size": 100}, 300, 100),
        ({"epochs": 5, "batch_size": 100}, 5, 100),
        ({"epochs": 5, "min_steps": 60}, 5, 8),
        ({"min_steps": 0}, 18, 8),
        ({"min_epoch_steps": 2, "min_steps": 0}, 18, 64),
    ],
)
def test_settings_of_the_recipe_that_are_given_win(changes, length, batch, tmp_path):
    """By ``set`` as by a file that builds on the recipe."""
    path = tmp_path / "mine.toml"
    rows = [f"{name} = {value}" for name, value in changes.items()]
    path.write_text("\n".join(['extends = "quick"', *rows]))
    for recipe in (load_recipe("quick").set(**changes), load_recipe(path)):
        settings = TrainingSettings(recipe=recipe).fit_to(245)
        assert (settings.plan(245).epochs, settings.batch_size) == (length, batch)


@pytest.mark.parametrize("ema", [0.5, None])
def test_an_average_that_is_given_wins(ema, tmp_path):
    assert TrainingSettings().set(ema=ema).fit_to(245).recipe.ema == ema
    if ema:
        (tmp_path / "mine.toml").write_text(f'extends = "quick"\nema = {ema}')
        recipe = load_recipe(tmp_path / "mine.toml")
        assert TrainingSettings(recipe=recipe).fit_to(245).recipe.ema == ema
    with pytest.raises(ConfigError, match="either `ema` or `ema_memory`"):
        TrainingSettings().set(ema=0.5, ema_memory=0.1)


def test_an_average_of_less_than_a_step_is_none():
    assert TrainingSettings(epochs=1, batch_size=64).fit_to(245).recipe.ema is None


def test_a_batch_that_is_larger_than_the_data_is_refused():
    with pytest.raises(ConfigError, match=r"`batch_size` .*batch_size=512 for 245 images"):
        TrainingSettings(batch_size=512).fit_to(245)
    with pytest.raises(ConfigError, match="batch_size=256 for 245 images"):
        TrainingSettings().set(batch_size=256).fit_to(245)


@given(images, st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]))
def test_devices_and_parts_share_the_batch(count, accumulate, replicas):
    if count < accumulate * replicas:
        return
    settings = TrainingSettings(accumulate=accumulate).fit_to(count, replicas)
    assert settings.batch_size % (accumulate * replicas) == 0
    assert settings.batch_size <= max(count, 1)


@given(images, st.sampled_from(["quick", "he2015-cifar", "finetune"]), st.booleans())
def test_plan_lines_fit_and_say_the_numbers(count, recipe, short):
    given_settings = TrainingSettings(recipe=recipe, epochs=1 if short else None)
    settings = given_settings.fit_to(count)
    plan, lines = settings.plan(count), plan_lines(given_settings, settings, count)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert f"{plan.epochs:,} epoch" in lines[0]
    assert f"batch {settings.batch_size}" in lines[0]
    assert ("warning" in text) == (plan.steps < FEW_STEPS)
    changed = settings.batch_size < given_settings.recipe.batch_size
    assert (f"(not {given_settings.recipe.batch_size})" in text) == changed


@pytest.mark.parametrize(
    ("name", "shape", "least"),
    [
        ("resnet50", (28, 28, 1), 32),
        ("resnet18", (224, 31, 3), 32),
        ("resnet20_cifar", (3, 3, 1), 4),
        ("densenet121", (16, 16, 3), 32),
    ],
)
def test_images_smaller_than_the_stride_are_refused(name, shape, least):
    settings = TrainingSettings()
    with pytest.raises(ConfigError) as caught:
        check_image_size(model_config(name, input_shape=shape), settings)
    assert f"images of {shape[0]} x {shape[1]} are smaller" in str(caught.value)
    assert f"total stride, {least}:" in str(caught.value)
    assert f"--image-size {least}" in str(caught.value)
    check_image_size(model_config(name, input_shape=(least, least, 3)), settings)


def test_sizes_of_a_recipe_count_for_the_stride():
    config = model_config("resnet50", input_shape=(48, 48, 3))
    check_image_size(config, TrainingSettings())
    settings = TrainingSettings().set(sizes=[[0.0, 0.5], [0.5, 1.0]])
    with pytest.raises(ConfigError, match=r"24 x 24 .*0.5 of 48 x 48.*--image-size 6\d"):
        check_image_size(config, settings)

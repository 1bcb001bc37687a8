"""The program behind ``keras-resnets evaluate``: run, measure, draw, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnets.data.options import check_data
from keras_resnets.environment import run_environment
from keras_resnets.errors import InputError
from keras_resnets.evaluation import names as class_name_sources
from keras_resnets.evaluation.crops import CropPlan, check_crops, plan_crops
from keras_resnets.evaluation.metrics import Metrics, metrics_of, outcomes
from keras_resnets.evaluation.runtimes import Runnable, open_model
from keras_resnets.evaluation.scores import Scores
from keras_resnets.files import csv_text, replacing, write_json, write_text
from keras_resnets.models.checks import check, check_choice, is_int
from keras_resnets.models.files import check_model_file
from keras_resnets.outputs import check_folder
from keras_resnets.verbosity import Printer
from keras_resnets.words import count, wrap

__all__ = ["SPLITS", "run_evaluate"]

SPLITS = ("train", "validation", "test")


def run_evaluate(
    path: str | Path,
    data: dict[str, Any],
    *,
    split: str = "test",
    crops: str = "center",
    crop_ratio: float = 1.0,
    output: str | Path | None = None,
    limit: int | None = None,
    batch_size: int = 64,
    print_fn: Callable[[str], None] = print,
    progress: Callable[[int, int], None] | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Measure a model of any format on a data set.

    The model is given raw images (0 to 255), as networks of ours take them.

    Args:
        path: A ``.keras``, ``.tflite`` or ``.onnx`` file or a SavedModel folder.
        data: Arguments of `load_data`.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        crops: Views of each image: ``"center"``, ``"ten"`` or ``"multi"``; see `plan_crops`.
        crop_ratio: Part of the image's side that ``"center"`` sees.
        output: Folder for ``evaluation.json``, ``per_class.csv``, ``confusion.png`` and
            ``calibration.png``; other files in it stay.
        limit: Most images, the first ones.
        batch_size: Images at once.
        print_fn: Called with lines on what is done.
        progress: Called with the numbers of images done and of all after every batch.
        verbose: 0 for nothing, 1 for lines and, on a terminal, a bar, 2 for lines alone.

    Returns:
        What ``evaluation.json`` holds: ``model``, ``format``, ``data``, ``split``, ``crops``,
        ``views``, ``outputs`` (``"probabilities"``, or ``"logits"`` that softmax was applied to),
        ``seconds``, ``class_names``, ``fingerprint`` of the data, ``environment`` as
        `run_environment` has it, and the attributes of `Metrics`.

    Raises:
        InputError: An argument is illegal, the model or the data set cannot be read or do not fit
            each other, or the folder cannot be written; nothing is written.
        RunError: The model answers with values that are not finite; nothing is written.

    Example:
        >>> run_evaluate("model.tflite", {"name": "cifar10"}, print_fn=print)["top1"]
        model.tflite on cifar10, test: 10,000 images, one view an image
        0.9147
    """
    print_fn = Printer(print_fn, verbose)
    check_choice("split", split, SPLITS)
    check_crops(crops, crop_ratio)
    check(limit is None or is_int(limit), "limit", "None or a positive integer", limit)
    check(is_int(batch_size), "batch_size", "a positive integer", batch_size)
    check_model_file(path)
    if output is not None:
        check_folder(output, "output")
    check_data(data)
    data = {**data, "print_fn": print_fn}
    model = open_model(path)
    images = _images_for(model, data)
    _check_classes(model.classes, images, path)
    plan = plan_crops(crops, model.input_shape, images.image_shape, images.flip, crop_ratio)
    total = min(images.sizes[split], limit or images.sizes[split])
    print_fn(wrap(f"{path} on {images.name}, {split}: {count(total, 'image')}, {plan}"))
    began = time.perf_counter()
    batches = _batches(_pyramid(images, data, plan), split, total, batch_size)
    with print_fn.counting("images") as bar:
        scores, labels = _answers(model, plan, batches, images, total, progress or bar)
    seconds = time.perf_counter() - began
    from keras_resnets.training.execution import choose_execution  # TensorFlow is slow

    images.check_found(split, len(labels), total)
    metrics = metrics_of(scores.results(), labels, images.class_names, floor=scores.floor)
    result = {
        "model": str(path),
        "format": model.format,
        "data": images.name,
        "split": split,
        "crops": crops,
        "crop_ratio": crop_ratio,
        "views": plan.count,
        "outputs": "probabilities" if scores.are_probabilities else "logits",
        "seconds": round(seconds, 3),
        "class_names": list(images.class_names),
        "fingerprint": images.fingerprint,
        "environment": run_environment(choose_execution().device),
        **metrics.to_dict(),
    }
    if output is not None:
        _write_evaluation(Path(output), result, metrics)
        files = "evaluation.json, per_class.csv, confusion.png and calibration.png"
        print_fn(wrap(f"wrote {files} into {output}"))
        from keras_resnets.fonts import missing_letters_note  # matplotlib takes a while

        if note := missing_letters_note(images.class_names):
            print_fn(wrap(note))
    return result


def _images_for(model: Runnable, data: dict[str, Any]):
    from keras_resnets.data.fitting import images_for

    images = images_for(model.input_shape, data)
    known = zip(model.input_shape[1:], images.image_shape, strict=True)
    if any(want not in (None, got) for want, got in known):
        raise InputError(
            f"data set {images.name!r} has images of {images.image_shape}; the model takes "
            f"{model.input_shape[1:]}"
        )
    return images


def _check_classes(classes: int | None, images, path) -> None:
    if classes not in (None, images.classes):
        raise InputError(
            f"{str(path)!r} knows {count(classes, 'class')}; data set {images.name!r} has "
            f"{images.classes}"
        )
    trained = class_name_sources.class_names(path)
    names = list(images.class_names)
    if trained is not None and trained != names and sorted(trained) == sorted(names):
        raise InputError(
            f"data set {images.name!r} has the classes of {str(path)!r} in another order"
        )


def _pyramid(images, data: dict[str, Any], plan: CropPlan) -> list:
    """Return the data set in the size of each scale."""
    from keras_resnets.data.load import load_data

    if not plan.sides:
        return [images]
    have = images.image_shape[:2]
    return [
        images
        if have == (side, side)
        else load_data(**{**data, "image_size": side, "channels": images.image_shape[2]})
        for side in plan.sides
    ]


def _batches(pyramid, split, limit, batch_size) -> Iterator[tuple[list, np.ndarray]]:
    """Yield batches of images in the size of each scale, and their labels."""
    import tensorflow as tf

    sets = [images.read(split).take(limit) for images in pyramid]
    batched = [x.batch(batch_size).prefetch(2).as_numpy_iterator() for x in sets]
    try:
        for scales in zip(*batched, strict=True):
            yield [images for images, _ in scales], scales[0][1]
    except tf.errors.OpError as error:
        raise pyramid[0].decoding_error(split, error) from error


def _answers(model, plan, batches, images, total, progress) -> tuple[Scores, np.ndarray]:
    """Return what a model answers to the views of all images, and the labels."""
    scores, labels = Scores(model.resolution, reduce=outcomes), []
    done = 0
    for pyramid, some in batches:
        answers = [(weight, model(view)) for weight, view in plan.views(pyramid)]
        _check_classes(answers[0][1].shape[1], images, model.path)
        scores.add(answers, some)
        labels.append(some)
        done += len(some)
        if progress is not None:
            progress(done, total)
    return scores, np.concatenate(labels) if labels else np.array([], np.int64)


def _write_evaluation(folder: Path, result: dict[str, Any], metrics: Metrics) -> None:
    from keras_resnets.evaluation.figures import plot_calibration, plot_confusion

    confusion = plot_confusion(metrics.confusion, result["class_names"])
    for figure, name in (
        (confusion, "confusion.png"),
        (plot_calibration(metrics.bins, metrics.ece), "calibration.png"),
    ):
        with replacing(folder / name) as beside:
            figure.savefig(beside, dpi=110)
    write_text(folder / "per_class.csv", csv_text(metrics.per_class, list(metrics.per_class[0])))
    write_json(folder / "evaluation.json", result)  # the last: with it the others are complete

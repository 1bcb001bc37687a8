"""The program behind ``keras-resnets predict``: what a model takes image files for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnets.data.decoding import Decoder
from keras_resnets.data.formats import UnreadableImage
from keras_resnets.data.options import check_model_input
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import InputError
from keras_resnets.evaluation import names as sources
from keras_resnets.evaluation.photos import find_photos
from keras_resnets.evaluation.runtimes import Runnable, open_model
from keras_resnets.evaluation.scores import Scores
from keras_resnets.files import csv_text, replacing, write_json, write_text
from keras_resnets.models.checks import check, is_int
from keras_resnets.models.files import check_model_file
from keras_resnets.outputs import check_file
from keras_resnets.verbosity import Printer
from keras_resnets.words import count, printable, wrap

__all__ = ["MOST_DRAWN", "check_request", "run_predict"]

MOST_DRAWN = 64
"""Most images of a contact sheet."""

_MOST_NAMED = 20
"""Most files that are named as left out."""


def run_predict(
    path: str | Path,
    files: str | Path | Sequence[str | Path],
    *,
    top: int = 5,
    output: str | Path | None = None,
    sheet: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    fit: str | None = None,
    background: str | None = None,
    skip_unreadable: bool = False,
    batch_size: int = 64,
    print_fn: Callable[[str], None] = print,
    progress: Callable[[int, int], None] | None = None,
    verbose: int = 1,
) -> list[dict[str, Any]]:
    """Ask a model of any format what is in some image files.

    Images are decoded and brought to the model's size as those of the folder that it was trained
    on.

    Args:
        path: A ``.keras``, ``.tflite`` or ``.onnx`` file or a SavedModel folder.
        files: Image files, or folders of them; or one.
        top: Most classes to name for an image.
        output: A ``.csv`` file (a row for each image and class) or ``.json`` file to write.
        sheet: A ``.png`` file to draw the first 64 images into, with what they are taken for.
        class_names: The classes' names; by default those in ``summary.json`` beside the model, or
            numbers.
        image_size: Side in pixels or ``(height, width)``, for a model that takes any size; by
            default that of its training, where ``summary.json`` says it.
        fit: ``"crop"``, ``"pad"`` or ``"stretch"``, as for `load_data`; by default that of its
            training, or ``"crop"``.
        background: Colour behind transparent images; by default that of its training, or white.
        skip_unreadable: Whether files that cannot be decoded are left out; errors otherwise.
        batch_size: Images at once.
        print_fn: Called with lines on what is written.
        progress: Called with the numbers of images done and of all after every batch.
        verbose: 0 for nothing, 1 for lines and, on a terminal, a bar, 2 for lines alone.

    Returns:
        For each image ``file``, ``true`` (the class whose name its folder has, or None) and
        ``predictions``: ``label``, ``class`` and ``probability`` of the most probable classes.

    Raises:
        InputError: An argument is illegal, or a file is missing, is no image or cannot be decoded;
            nothing is written.
        RunError: The model answers with values that are not finite; nothing is written.

    Example:
        >>> run_predict("model.tflite", ["cat.png"])[0]["predictions"][0]
        {'label': 3, 'class': 'cat', 'probability': 0.93}
    """
    print_fn = Printer(print_fn, verbose)
    check(is_int(batch_size), "batch_size", "a positive integer", batch_size)
    photos, left_out, unreadable = check_request(
        path,
        files,
        top=top,
        output=output,
        sheet=sheet,
        image_size=image_size,
        fit=fit,
        background=background,
        skip_unreadable=skip_unreadable,
    )
    if class_names is None:
        class_names = sources.class_names(path)
    _check_names(class_names, path)
    model = open_model(path)
    _check_count(class_names, model.classes, path)
    decoder = _decoder(model, image_size, fit, background)
    keep = 0 if sheet is None else MOST_DRAWN
    if left_out:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in left_out.items())
        print_fn(printable(f"left out: {reasons}"))
    for line in _skipped_lines(unreadable):
        print_fn(line)
    with print_fn.counting("images") as bar:
        scores, shown, classes = _ask(
            model, photos, decoder, batch_size, top, keep, progress or bar
        )
    _check_count(class_names, classes, path)
    names = class_names or [str(number) for number in range(classes)]
    best = scores.results()
    rows = [
        _prediction(*row, names, known=class_names is not None)
        for row in zip(photos, best["labels"], best["probabilities"], strict=True)
    ]
    if sheet is not None:
        _write_sheet(Path(sheet), shown, rows)
        cut = f" with the first {count(len(shown), 'image')}" * (len(shown) < len(rows))
        print_fn(wrap(f"wrote {sheet}{cut}"))
        from keras_resnets.fonts import missing_letters_note  # matplotlib takes a while

        if note := missing_letters_note(names):
            print_fn(wrap(note))
    if output is not None:
        _write_predictions(Path(output), rows)
        print_fn(printable(f"wrote {output}"))
    return rows


def check_request(
    path: str | Path,
    files: str | Path | Sequence[str | Path],
    *,
    top: int = 5,
    output: str | Path | None = None,
    sheet: str | Path | None = None,
    image_size: int | tuple[int, int] | None = None,
    fit: str | None = None,
    background: str | None = None,
    skip_unreadable: bool = False,
) -> tuple[list[Path], dict[str, int], dict[Path, str]]:
    """Return the images that `run_predict` is asked about, and what was left out and why.

    The arguments are those of `run_predict`; the result is that of `find_photos`.

    Raises:
        InputError: An argument is illegal, or a file is missing or not a model or an image by its
            first bytes.
    """
    check(is_int(top), "top", "a positive integer", top)
    DataSettings(image_size=image_size, fit=fit or "crop", background=background or "white")
    check_model_file(path)
    if output is not None:
        check_file(output, "output", (".csv", ".json"))
    if sheet is not None:
        check_file(sheet, "sheet", (".png",))
    return find_photos(files, skip_unreadable)


def _skipped_lines(unreadable: dict[Path, str]) -> list[str]:
    """Return lines that name files that were left out: the first 20, and how many more."""
    lines = [printable(f"  {path} ({why})") for path, why in list(unreadable.items())[:_MOST_NAMED]]
    more = len(unreadable) - len(lines)
    return [*lines, f"  and {count(more, 'more file')}"] if more else lines


def _check_names(class_names, path) -> None:
    """Check names before the model is read, by what was written beside it."""
    if class_names is None:
        return
    repeated = sorted({name for name in class_names if list(class_names).count(name) > 1})
    if repeated:
        raise InputError(f"`class_names` must not repeat a name. Received: {repeated[0]!r} twice")
    trained = sources.class_names(path)
    _check_count(class_names, None if trained is None else len(trained), path)


def _check_count(class_names, classes: int | None, path) -> None:
    if None not in (class_names, classes) and len(class_names) != classes:
        raise InputError(
            f"{str(path)!r} knows {count(classes, 'class')}; "
            f"{count(len(class_names), 'name')} {'is' if len(class_names) == 1 else 'are'} given"
        )


def _decoder(model: Runnable, image_size, fit, background) -> Decoder:
    """Return how images are made what the model takes, as in its training where nothing is said."""
    trained = DataSettings.from_arguments(
        **sources.training_summary(model.path).get("data", {"name": ""})
    )
    settings = DataSettings(
        image_size=image_size,
        fit=fit or trained.fit,
        background=background or trained.background,
    )
    check_model_input(settings, model.input_shape)
    size = _photo_size(model, settings.image_size, trained.image_size)
    return Decoder(model.input_shape[3], size, settings.fit, settings.background)


def _photo_size(model: Runnable, image_size, trained) -> tuple[int, int]:
    own = model.input_shape[1:3]
    if None not in own:
        return own
    size = image_size or trained
    if size is None:
        raise InputError(
            f"{str(model.path)!r} takes images of any size: give `image_size`, that of the images "
            "it was trained on"
        )
    return size if isinstance(size, tuple) else (size, size)


def _ask(
    model, photos, decoder: Decoder, batch_size, top, keep, progress
) -> tuple[Scores, list, int]:
    """Return the best classes of all photos, the first photos, and the number of classes."""

    def best(probabilities):
        labels = np.argsort(-probabilities, axis=-1, kind="stable")[:, :top]
        return {
            "labels": labels,
            "probabilities": np.take_along_axis(probabilities, labels, axis=-1),
        }

    scores, shown, classes = Scores(model.resolution, reduce=best), [], 0
    for start in range(0, len(photos), batch_size):
        some = photos[start : start + batch_size]
        images = np.stack([_read(photo, decoder) for photo in some])
        answers = model(images)
        classes = answers.shape[1]
        scores.add([(1.0, answers)])
        shown.extend(images[: keep - len(shown)])
        if progress is not None:
            progress(start + len(some), len(photos))
    return scores, shown, classes


def _read(photo: Path, decoder: Decoder) -> np.ndarray:
    try:
        return decoder.read(photo)
    except UnreadableImage as error:
        raise InputError(f"image {str(photo)!r} cannot be decoded: {error}") from error


def _prediction(photo: Path, labels, probabilities, names, known) -> dict[str, Any]:
    folder = photo.absolute().parent.name
    return {
        "file": str(photo),
        "true": folder if known and folder in names else None,
        "predictions": [
            {"label": int(i), "class": names[i], "probability": float(probability)}
            for i, probability in zip(labels, probabilities, strict=True)
        ],
    }


def _write_sheet(path: Path, images, rows) -> None:
    from keras_resnets.evaluation.sheets import contact_sheet

    drawn = [{**row["predictions"][0], "true": row["true"]} for row in rows[: len(images)]]
    with replacing(path) as beside:
        contact_sheet(images, drawn).savefig(beside, dpi=110)


def _write_predictions(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".json":
        write_json(path, rows)
        return
    flat = [
        {"file": row["file"], "true": row["true"], "rank": rank, **prediction}
        for row in rows
        for rank, prediction in enumerate(row["predictions"], start=1)
    ]
    write_text(path, csv_text(flat, ["file", "true", "rank", "label", "class", "probability"]))

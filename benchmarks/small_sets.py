"""Small sets, trained on by default, beside a logistic regression on the raw pixels.

Makes five folders of PNG files (handwritten digits as 60, 250 and 1,200 training images; where a
prepared CIFAR-10 is at hand, cats and dogs as 250 and five classes as 1,000), trains on each by
``keras-resnets train resnet20_cifar --dataset FOLDER`` without further options, and prints a
Markdown table. Run ``python -m benchmarks.small_sets --out FOLDER --cifar10-dir DIR``; finished
trainings are kept, and the same command resumes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

MODEL = "resnet20_cifar"
SETS = ("digits-60", "digits-250", "digits-1200", "cifar-2x125", "cifar-5x200")
_CIFAR = {
    "cifar-2x125": (("cat", "dog"), 125, 400),
    "cifar-5x200": (("airplane", "automobile", "bird", "deer", "ship"), 200, 200),
}
"""Classes, and training and test images of each."""


@dataclass(frozen=True)
class SmallSet:
    """Raw images in memory, as they are written into a folder.

    Attributes:
        name: One of `SETS`.
        class_names: The classes, in the order of their labels.
        images: By split, uint8 ``(images, height, width, channels)``.
        labels: By split.
    """

    name: str
    class_names: tuple[str, ...]
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]

    def write(self, folder: Path) -> Path:
        """Write ``train/CLASS/*.png`` and ``test/CLASS/*.png``; return the set's folder."""
        from PIL import Image

        root = folder / self.name
        for split, images in self.images.items():
            for number, (image, label) in enumerate(zip(images, self.labels[split], strict=True)):
                place = root / split / self.class_names[label]
                place.mkdir(parents=True, exist_ok=True)
                picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
                picture.save(place / f"{number:05}.png")
        return root


def make_set(name: str, cifar10_dir: str | None = None) -> SmallSet:
    """Return a small set; those of CIFAR-10 need the folder of a prepared copy."""
    kind, _, size = name.partition("-")
    return _digits(name, int(size)) if kind == "digits" else _cifar(name, cifar10_dir)


def _digits(name: str, count: int) -> SmallSet:
    """Return a tenth of `count` training images of each digit; the others are test images."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    order = np.random.default_rng(0).permutation(len(images))
    of_class = [order[digits.target[order] == digit] for digit in range(10)]
    train = np.concatenate([rows[: count // 10] for rows in of_class])
    parts = {"train": train, "test": np.setdiff1d(order, train)}
    return SmallSet(
        name,
        tuple(map(str, range(10))),
        {split: images[rows] for split, rows in parts.items()},
        {split: digits.target[rows] for split, rows in parts.items()},
    )


def _cifar(name: str, folder: str | None) -> SmallSet:
    import tensorflow_datasets as tfds

    names, *counts = _CIFAR[name]
    builder = tfds.builder("cifar10", data_dir=folder)
    known = builder.info.features["label"].names
    images, labels = {}, {}
    for split, wanted in zip(("train", "test"), counts, strict=True):
        kept = {label: [] for label in names}
        for example in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)):
            rows = kept.get(known[example["label"]])
            if rows is not None and len(rows) < wanted:
                rows.append(example["image"])
            if all(len(rows) == wanted for rows in kept.values()):
                break
        images[split] = np.concatenate([np.stack(kept[label]) for label in names])
        labels[split] = np.repeat(np.arange(len(names)), wanted)
    return SmallSet(name, names, images, labels)


def logistic_regression(data: SmallSet) -> float:
    """Return the test accuracy of a tuned logistic regression on all training images.

    Pixels are standardised, and the penalty is chosen by cross-validation. The rotation to
    principal components changes nothing but the time: the penalty does not see it.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pixels = {split: images.reshape(len(images), -1) / 255 for split, images in data.images.items()}
    regression = LogisticRegression(max_iter=500)
    pipeline = make_pipeline(StandardScaler(), PCA(svd_solver="full"), regression)
    search = GridSearchCV(pipeline, {"logisticregression__C": np.logspace(-6, 2, 9)}, cv=4)
    search.fit(pixels["train"], data.labels["train"])
    return float(search.score(pixels["test"], data.labels["test"]))


def train_by_default(folder: Path, run_dir: Path, seed: int = 0, *options: str) -> dict:
    """Train by the command on a folder; return the summary of the run."""
    command = [sys.executable, "-m", "keras_resnets", "train", MODEL, "--dataset", str(folder)]
    command += ["--seed", str(seed), "--run-dir", str(run_dir), *options]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return json.loads((run_dir / "summary.json").read_text())


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for it all.")
@click.option("--cifar10-dir", help="Where TensorFlow Datasets keeps a prepared CIFAR-10.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
def cli(out, cifar10_dir, seeds):
    """Train by default on small sets, and print the table."""
    print("| set | images | logistic regression | `train` by default | steps | seconds |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in SETS:
        if name in _CIFAR and cifar10_dir is None:
            continue
        data = make_set(name, cifar10_dir)
        folder = out / name
        if not folder.is_dir():
            folder = data.write(out)
        runs = [
            train_by_default(folder, out / "runs" / f"{name}-{seed}", seed) for seed in range(seeds)
        ]
        print(_row(data, logistic_regression(data), runs), flush=True)


def _row(data: SmallSet, baseline: float, runs: list[dict]) -> str:
    ours = ", ".join(f"{run['test_accuracy']:.1%}" for run in runs)
    seconds = np.mean([run["seconds"] for run in runs])
    images, steps = f"{len(data.labels['train']):,}", f"{runs[0]['steps']:,}"
    return f"| {data.name} | {images} | {baseline:.1%} | {ours} | {steps} | {seconds:.0f} |"


if __name__ == "__main__":
    cli()

"""The search program: propose, train, rank; train the winner, export it, verify the exports."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_resnets._version import __version__
from keras_resnets.data.load import load_data, missing_download
from keras_resnets.data.settings import DataSettings
from keras_resnets.environment import run_environment
from keras_resnets.errors import RunError
from keras_resnets.export.saved_model import export_saved_model
from keras_resnets.export.tflite import export_tflite
from keras_resnets.files import write_text
from keras_resnets.models.checks import check
from keras_resnets.models.config import config_from_dict
from keras_resnets.models.cost import complexity
from keras_resnets.models.families import ResNetConfig
from keras_resnets.models.network import Network
from keras_resnets.run_folder import SCRATCH, RunFolder
from keras_resnets.state import write_state
from keras_resnets.training.execution import execution_for
from keras_resnets.training.rehearsal import DRY, say_missing
from keras_resnets.training.results import accuracy, write_history, write_model
from keras_resnets.tuning.checks import check_search
from keras_resnets.tuning.journal import Journal, ranked
from keras_resnets.tuning.length import search_length
from keras_resnets.tuning.oracles import make_oracle, planned_epochs, planned_trials
from keras_resnets.tuning.planning import plan_lines
from keras_resnets.tuning.rehearsal import rehearse_search
from keras_resnets.tuning.report import trial_line, trials_table, write_report
from keras_resnets.tuning.settings import NETWORK_SIZE, SearchSettings
from keras_resnets.tuning.space import Budget
from keras_resnets.tuning.tuner import (
    CHECKPOINTS,
    SearchTuner,
    candidate_settings,
    check_training,
)
from keras_resnets.tuning.winner import keep_winner, kept_winner, winner_checkpoint
from keras_resnets.tuning.worker import Worker, run_again
from keras_resnets.verbosity import Printer
from keras_resnets.words import count, wrap

__all__ = ["SearchResult", "search"]

FILES = ("model.keras", "saved_model/", "model.tflite", "report.html")


@dataclass(frozen=True)
class SearchResult:
    """What a search leaves.

    Attributes:
        run_dir: The run folder.
        summary: Every number of the search, as ``summary.json`` holds them.
    """

    run_dir: Path
    summary: dict[str, Any]

    @property
    def model(self) -> Network:
        """The winner, loaded from ``model.keras``."""
        return keras.saving.load_model(self.run_dir / "model.keras")


def search(
    settings: SearchSettings | None = None,
    run_dir: str | Path = "runs/search",
    print_fn: Callable[[str], None] = print,
    *,
    verbose: int = 1,
    dry_run: bool = False,
    trial_timeout: float | None = None,
) -> SearchResult:
    """Search depth and width, train the winner, export it, and prove that the exports agree.

    Everything goes into one folder: ``model.keras``, ``saved_model/``, ``model.tflite``,
    ``config.json``, ``trials.csv``, ``history.csv``, ``report.html`` and ``summary.json``. A search
    that was interrupted, however hard, resumes in its folder; a finished one is only read, unless
    more `trials` or `final_epochs` are asked for: what is done is kept then.

    Args:
        settings: What to search and how long; `SearchSettings()` by default.
        run_dir: The run folder.
        print_fn: Called with every line of progress.
        verbose: 0 for no lines at all.
        dry_run: Whether to check everything, say what would be done, and estimate its time from
            three timed steps of a candidate of median cost. Nothing is written, and nothing but the
            embedded digits prepared.
        trial_timeout: Seconds without a training step after which a candidate's process is taken
            for hung, ended, and the trial given out again. By default ten times the longest epoch
            so far, and ten minutes at least. It is no part of what a search is.

    Returns:
        The folder and the summary. Of a dry run the summary has ``trials`` and ``epochs`` to do,
        and, unless that is none, ``final_epochs`` and ``seconds``.

    Raises:
        InputError: A setting is wrong, no candidate is within the budget, or the folder cannot be
            used; nothing is written then.
        ExportMismatchError: An export disagrees with the model.
        RunError: Trials or the winner's training failed.
        MachineError: A file could not be read or written; the same search resumes.

    Example:
        >>> result = search(SearchSettings(dataset="cifar10", max_macs=20_000_000), "runs/cifar")
        >>> result.summary["winner"]["test_accuracy"]
    """
    print_fn = Printer(print_fn, verbose)
    settings = settings or SearchSettings()
    _check_timeout(trial_timeout)
    folder = check_search(settings, run_dir)
    if dry_run and (line := missing_download(DataSettings.from_arguments(**settings.data))):
        say_missing(line, print_fn)
        return SearchResult(folder.path, {})
    execution = execution_for(settings)
    if not dry_run:
        _keep_off_gpu()
    with print_fn.counting("files") as progress:
        data = load_data(
            **settings.data, network_size=NETWORK_SIZE, progress=progress, print_fn=print_fn
        )
    check_training(settings, data)
    given, settings = settings, settings.fit_to(data.sizes["train"])
    base = data.adapt(ResNetConfig())
    structures = settings.space.within(Budget(settings.max_params, settings.max_macs), base)
    folder.pin("data set", data.fingerprint)
    folder.length = search_length(settings)
    plan = plan_lines(given, settings, data, len(structures), folder, execution)
    if dry_run:
        return _rehearse(settings, data, base, structures, folder, plan, print_fn)
    with folder:
        folder.lengthen()
        summary = folder.summary() if folder.is_finished else None
        if summary is not None:
            if not _failed(summary):
                return _finished(folder, summary, print_fn)
            (folder / "summary.json").unlink()  # what failed is tried again
        for line in (*plan, *map(wrap, folder.damage)):
            print_fn(line)
        with Worker(folder / "worker.log", trial_timeout, _wrapping(print_fn)) as worker:
            worker.start()
            journal, refused = _run_trials(settings, base, folder, worker, print_fn)
            winner = ranked(journal.trials)[0]
            if winner["status"] != "ok":
                raise RunError(f"no trial succeeded; the best one: {winner['message']}")
            print_fn("\n" + trials_table(ranked(journal.trials)))
            kept = kept_winner(folder.path)
            if kept and (kept["trial"], kept["epochs"]) == (winner["id"], settings.final_epochs):
                print_fn(f"the winner is trial {winner['id']} as before: its exports are kept")
            else:
                history = _train_winner(settings, winner, folder, worker, print_fn)
                kept = _deliver(settings, data, winner, history, folder, print_fn)
        summary = _summary(settings, data, journal, kept, refused)
        summary["environment"] = run_environment(execution.device)
        write_report(folder / "report.html", summary, kept["history"])
        write_state(folder / "summary.json", summary)  # last: its presence means "finished"
        _tidy(folder)
        if failed := _failed(summary):
            print_fn(wrap(f"{count(failed, 'trial')} failed: the same command tries again"))
        print_fn(wrap(f"wrote {', '.join(FILES)} into {folder.path}"))
    return SearchResult(folder.path, summary)


def _keep_off_gpu() -> None:
    """Leave the GPU's memory to the worker, which does all the training."""
    import tensorflow as tf

    # TensorFlow refuses once it has started its devices: then they are the caller's already.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")


def _check_timeout(seconds: float | None) -> None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    legal = seconds is None or (is_number and seconds > 0)
    check(legal, "trial_timeout", "None or a positive number of seconds", seconds)


def _wrapping(print_fn: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: print_fn(wrap(line))


def _failed(summary: dict[str, Any]) -> int:
    return sum(trial["status"] == "failed" for trial in summary["trials"])


def _finished(folder: RunFolder, summary: dict[str, Any], print_fn) -> SearchResult:
    print_fn(wrap(f"{folder.path} is finished; use another --run-dir to search again") + "\n")
    print_fn(trials_table(ranked(summary["trials"])))
    print_fn(_winner_line(summary["winner"]))
    for export in summary["exports"]:
        print_fn(_export_line(export))
    return SearchResult(folder.path, summary)


def _rehearse(settings, data, base, structures, folder, plan, print_fn) -> SearchResult:
    """Say what would be done, and estimate its time."""
    folder.check()
    if folder.is_finished and not _failed(folder.summary()):
        print_fn(wrap(f"{folder.path} is finished: nothing would be done"))
        return SearchResult(folder.path, {"trials": 0, "epochs": 0})
    oracle = _oracle(settings, base, settings.trials)
    trials, epochs = planned_trials(oracle), planned_epochs(oracle, settings.epochs)
    done = Journal(folder.path).trials
    lines = list(plan)
    if done:
        lines.append(f"{len(done)} of {count(trials, 'trial')} are done")
    trials, epochs = trials - len(done), max(0, epochs - sum(_own_epochs(row) for row in done))
    rehearsal = rehearse_search(settings, data, base, structures, trials, epochs)
    for line in [*lines, *rehearsal.lines(), DRY]:
        print_fn(line)
    summary = {"trials": trials, "epochs": epochs, "final_epochs": settings.final_epochs}
    return SearchResult(folder.path, {**summary, "seconds": rehearsal.seconds})


def _own_epochs(row: dict) -> int:
    """Return the epochs of a trial, without those of the one that Hyperband promoted."""
    return row["epochs"] - row["values"].get("tuner/initial_epoch", 0)


def _oracle(settings, base, first_trials):
    """Return the oracle of a search: who proposes its candidates."""
    budget, space = Budget(settings.max_params, settings.max_macs), settings.space

    def fits(values):
        return budget.excess(complexity(space.config(values, base))) is None

    hyperparameters = keras_tuner.HyperParameters()
    space.declare(hyperparameters)
    return make_oracle(
        settings.tuner,
        hyperparameters,
        fits,
        trials=settings.trials,
        first_trials=first_trials,
        epochs=settings.epochs,
        seed=settings.seed,
    )


def _run_trials(settings, base, folder, worker, print_fn) -> tuple[Journal, int]:
    journal = Journal(folder.path)
    for line in journal.damage:
        print_fn(wrap(line))
    oracle = _oracle(settings, base, folder.keep("trials at the beginning", settings.trials))
    planned = planned_trials(oracle)
    if len(journal):
        print_fn(f"{len(journal)} of {count(planned, 'trial')} are done")
    ran: list[dict] = []

    def on_trial(row):
        ran.append(row)
        print_fn(
            trial_line(row, journal.trials, planned, _seconds_left(settings, ran, planned, journal))
        )

    own, say = folder / SCRATCH, _wrapping(print_fn)
    SearchTuner(oracle, settings, base, journal, worker, on_trial, own, say).search()
    journal.write_csv()
    if oracle.refused:
        print_fn(f"{count(oracle.refused, 'proposal')} over the budget refused unbuilt")
    return journal, oracle.refused


def _seconds_left(settings, ran, planned, journal) -> float:
    """Extrapolate the trials run now to the remaining ones and the winner's longer training."""
    mean = sum(row["seconds"] for row in ran) / len(ran)
    epochs = sum(row["epochs"] for row in ran) / len(ran)
    return mean * (planned - len(journal)) + mean * settings.final_epochs / epochs


def _train_winner(settings, winner, folder, worker, print_fn) -> list[dict]:
    print_fn(
        f"training the winner, trial {winner['id']}, for {count(settings.final_epochs, 'epoch')}"
    )
    training = candidate_settings(settings, winner).replace(epochs=settings.final_epochs)

    def on_epoch(row):
        if row["epoch"] % max(1, settings.final_epochs // 5) == 0:
            print_fn(
                f"epoch {row['epoch']}/{settings.final_epochs}  loss {row['loss']:.4f}  "
                f"validation {row['val_accuracy']:.2%}"
            )

    job = {
        "config": winner["config"],
        "data": {**settings.data, "network_size": NETWORK_SIZE},
        "settings": training.to_dict(),
        "checkpoint": str(_checkpoint(settings, winner, folder)),
        "run_dir": str(folder.path),
    }
    result = run_again(worker, job, "the winner", _wrapping(print_fn), on_epoch)
    if result["diverged"]:
        raise RunError(
            f"the winner's training diverged at learning rate {winner['learning_rate']:g}"
        )
    return result["history"]


def _checkpoint(settings, winner, folder) -> Path:
    return winner_checkpoint(folder.path, winner["id"], settings.final_epochs)


def _deliver(settings, data, winner, history, folder, print_fn) -> dict[str, Any]:
    """Write what belongs to the winner, and return the record of it."""
    began = time.monotonic()
    keep_winner(folder.path, None)
    model = keras.saving.load_model(_checkpoint(settings, winner, folder))
    write_model(model, folder / "model.keras")
    model = keras.saving.load_model(folder / "model.keras")  # what is delivered is what is judged
    config = config_from_dict(winner["config"])
    write_text(folder / "config.json", config.to_json() + "\n")
    write_history(history, folder / "history.csv")
    best = {
        "trial": winner["id"],
        "config": winner["config"],
        "depth": config.depth,
        "width": winner["width"],
        "params": winner["params"],
        "macs": winner["macs"],
        "search_val_accuracy": winner["val_accuracy"],
        "val_accuracy": history[-1]["val_accuracy"],
        "test_accuracy": accuracy(model, data, "test"),
        "seconds": round(sum(row["seconds"] for row in history), 1),
    }
    print_fn(_winner_line(best))
    images, _ = data.images("test", limit=2000)
    exports = []
    for export, name in ((export_saved_model, "saved_model"), (export_tflite, "model.tflite")):
        result = export(model, folder / name, images)
        exports.append({**vars(result), "path": name})
        print_fn(_export_line(exports[-1]))
    record = {
        "trial": winner["id"],
        "epochs": settings.final_epochs,
        "winner": best,
        "exports": exports,
        "history": history,
        "seconds": round(best["seconds"] + time.monotonic() - began, 1),
    }
    keep_winner(folder.path, record)
    return record


def _summary(settings, data, journal, kept, refused) -> dict[str, Any]:
    trials = [{k: v for k, v in t.items() if k != "values"} for t in journal.trials]
    return {
        "version": __version__,
        "settings": settings.to_dict(),
        "data": {
            **settings.data,
            "image_size": list(data.image_shape[:2]),
            "image_shape": list(data.image_shape),
            "class_names": list(data.class_names),
            "classes": list(data.class_names),
            "images": data.sizes,
            "fingerprint": data.fingerprint,
        },
        "refused": refused,
        "trials": trials,
        "winner": kept["winner"],
        "exports": kept["exports"],
        "seconds": round(sum(t["seconds"] for t in trials) + kept["seconds"], 1),
    }


def _winner_line(winner: dict) -> str:
    return wrap(
        f"winner: depth {winner['depth']}, width {winner['width']}, "
        f"{count(winner['params'], 'parameter')}, {count(winner['macs'], 'MAC')}, "
        f"test accuracy {winner['test_accuracy']:.2%}"
    )


def _export_line(export: dict) -> str:
    return wrap(
        f"{export['path']}: {count(export['images'], 'test image')}, largest difference "
        f"{export['largest_difference']:.1e}, agreement {export['agreement']:.2%}, "
        f"{export['bytes'] / 1e6:.2f} MB"
    )


def _tidy(folder: RunFolder) -> None:
    """Remove what only an unfinished search needs."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    for path in folder.path.glob("winner-*.checkpoint*"):
        if re.fullmatch(r"winner-\d+-\d+\.checkpoint.*\.(keras|json|npz)", path.name):
            path.unlink()

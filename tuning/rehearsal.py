"""What a search would take: steps of a candidate of median cost, timed, and an extrapolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_resnets.data.load import ImageData
from keras_resnets.models.cost import complexity
from keras_resnets.models.families import ResNetConfig
from keras_resnets.training.fit import prepare_device
from keras_resnets.training.rehearsal import Rehearsal, rehearse
from keras_resnets.tuning.settings import SearchSettings
from keras_resnets.tuning.tuner import candidate_settings
from keras_resnets.words import clock, count, wrap

__all__ = ["SearchRehearsal", "median_values", "rehearse_search"]


@dataclass(frozen=True, kw_only=True)
class SearchRehearsal:
    """The expected time of a search.

    Attributes:
        values: The choices of the candidate that was timed.
        config: Its configuration.
        rehearsal: What was timed.
        trials: Trials to run.
        epochs: Epochs of them all.
        final_epochs: Epochs of the winner's training.
    """

    values: dict[str, Any]
    config: ResNetConfig
    rehearsal: Rehearsal
    trials: int
    epochs: int
    final_epochs: int

    @property
    def seconds(self) -> float:
        """Expected seconds of the trials and of the winner's training."""
        epoch = self.rehearsal.epoch_seconds(0)
        starts = self.trials + 1
        return starts * self.rehearsal.start + (self.epochs + self.final_epochs) * epoch

    def lines(self) -> list[str]:
        """Return lines, of at most 80 columns, about what was timed and what it comes to."""
        cost = complexity(self.config)
        candidate = (
            f"median  of the candidates: {self.values['block']} blocks, depth {self.config.depth}, "
            f"width {self.values['width']}, {count(cost.macs, 'MAC')}"
        )
        expected = (
            f"time    about {clock(self.seconds)} for {count(self.trials, 'trial')} "
            f"({count(self.epochs, 'epoch')}) and {count(self.final_epochs, 'epoch')} of the "
            "winner: an estimate, as if all were such candidates; the exports come on top"
        )
        return [
            *wrap(candidate, indent=8).splitlines(),
            *self.rehearsal.step_lines(),
            *wrap(expected, indent=8).splitlines(),
        ]


def rehearse_search(
    settings: SearchSettings,
    data: ImageData,
    base: ResNetConfig,
    structures: list[dict[str, Any]],
    trials: int,
    epochs: int,
) -> SearchRehearsal:
    """Time steps of a candidate of median cost; nothing is written.

    Args:
        settings: The search, fitted to the data.
        data: The data set.
        base: What candidates share.
        structures: The structures within the budget, `SearchSpace.within`.
        trials: Trials to run.
        epochs: Epochs of them all.
    """
    values = median_values(settings, base, structures)
    config = settings.space.config(values, base)
    training = candidate_settings(settings, values)
    prepare_device(training)
    return SearchRehearsal(
        values=values,
        config=config,
        rehearsal=rehearse(config, data, training),
        trials=trials,
        epochs=epochs,
        final_epochs=settings.final_epochs,
    )


def median_values(
    settings: SearchSettings, base: ResNetConfig, structures: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the values of the candidate whose multiply-adds are the median of these structures."""
    low, high = settings.space.learning_rates
    free = {
        "final_survival": min(settings.space.final_survivals),
        "learning_rate": (low * high) ** 0.5,
    }
    by_cost = sorted(
        ({**values, **free} for values in structures),
        key=lambda values: complexity(settings.space.config(values, base)).macs,
    )
    return by_cost[len(by_cost) // 2]

"""Layer responses: residual nets change their signal less, deep ones least (He 2015, figure 7).

    python examples/experiments/layer_responses.py --data-dir DATA --scale minutes

The trainings are those of degradation.py: what it has trained is read, the rest is trained.
"""

from __future__ import annotations

import numpy as np
from common import COLORS, Bench, mean_and_spread, options, panels, run
from degradation import SCALES, trainings


@options(SCALES, "degradation")
def main(dataset, data_dir, scale, seeds, out):
    """Measure the standard deviation of every 3x3 layer's output, after BN."""
    bench = Bench("degradation", SCALES[scale], "he2015-cifar", dataset, data_dir, seeds, out)
    results = trainings(bench)
    rows = []
    for name, runs in results.items():
        means = mean_and_spread([float(np.mean(run["responses"])) for run in runs])
        rows.append(
            {
                "network": name,
                "layers": len(runs[0]["responses"]),
                "mean_response": means[0],
                "spread": means[1],
                "seeds": len(runs),
            }
        )
    bench.write("layer_responses", rows, draw(results))


def draw(results):
    """Draw the responses by layer, and sorted."""
    figure, axes = panels(2, width=5)
    for axis, order, title in (
        (axes[0], np.asarray, "in the order of the layers"),
        (axes[1], lambda values: np.sort(values)[::-1], "sorted"),
    ):
        for (name, runs), color in zip(results.items(), COLORS, strict=False):
            values = np.mean([order(run["responses"]) for run in runs], axis=0)
            axis.plot(
                np.linspace(0, 1, len(values)),
                values,
                color=color,
                linestyle="--" if name.startswith("plain") else "-",
                label=name.removesuffix("_cifar"),
            )
        axis.set(xlabel="position in the network", ylabel="standard deviation", title=title)
        axis.legend(frameon=False)
    return figure


if __name__ == "__main__":
    run(main)

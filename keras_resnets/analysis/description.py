"""Networks in words and rows: from their configurations, without building them."""

from __future__ import annotations

from keras_resnets.errors import ConfigError
from keras_resnets.layers.style import ACTIVATIONS
from keras_resnets.models.catalog import model_config, natural
from keras_resnets.models.chain_config import ChainConfig
from keras_resnets.models.config import NetworkConfig
from keras_resnets.models.cost import complexity
from keras_resnets.models.densenet_config import DenseNetConfig
from keras_resnets.models.papers import published
from keras_resnets.words import count

__all__ = [
    "SORT_KEYS",
    "block_kind",
    "catalog_rows",
    "part_rows",
    "published_lines",
    "sketch",
    "summarize",
]

SORT_KEYS = ("name", "params", "macs", "error")

_ORDERS = {
    "post": "post-activation",
    "pre": "pre-activation",
    "bn_after_addition": "BN after addition",
    "relu_before_addition": "ReLU before addition",
    "relu_only": "ReLU-only pre-activation",
}


def summarize(config: NetworkConfig) -> str:
    """Return one line that says what a network is.

    Example:
        >>> summarize(model_config("resnet20_cifar"))
        '20 layers on the main path, post-activation, shortcut A, 10 classes'
    """
    words = [f"{count(config.depth, 'layer')} on the main path"]
    if isinstance(config, DenseNetConfig):
        words.append(f"growth rate {config.growth_rate}")
        words += ["bottlenecks"] if config.bottleneck else []
        words += [f"compression {config.compression:g}"] if config.compression < 1 else []
    elif isinstance(config, ChainConfig):
        words.append("one convolution after another")
    else:
        words += _residual_words(config)
    if config.activation != "relu":
        words.append(ACTIVATIONS[config.activation].title)
    if config.normalization == "group":
        words.append(f"group normalisation of {config.norm_groups}")
    words += ["weight standardisation"] if config.weight_standardization else []
    words += [f"dropout {config.dropout:g}"] if config.dropout else []
    if config.include_top and config.head_pooling != "avg":
        words.append(f"{config.head_pooling} pooling")
    words += [f"head dropout {config.head_dropout:g}"] if config.head_dropout else []
    words += [f"output stride {config.output_stride}"] if config.output_stride else []
    words.append(count(config.classes, "class") if config.include_top else "no classifier")
    return ", ".join(words)


def _residual_words(config):
    words = [_ORDERS[config.activation_order]]
    words.append("no shortcuts" if config.shortcut == "none" else f"shortcut {config.shortcut}")
    if config.block == "bottleneck" and config.bottleneck_stride == "3x3":
        words.append("stride in the 3x3")
    if config.inner_width_factor != 1:
        words.append(f"inner width x{config.inner_width_factor:g}")
    words += [f"{config.cardinality} groups"] if config.cardinality > 1 else []
    words += ["squeeze-and-excitation"] if config.attention == "se" else []
    words += ["anti-aliased"] if config.antialias else []
    if config.drop_block:
        words.append(f"DropBlock {config.drop_block:g} of {config.drop_block_size} pixels")
    if config.final_survival < 1:
        words.append(f"stochastic depth to {config.final_survival:g} ({config.survival_mode})")
    return words


def sketch(config: NetworkConfig) -> str:
    """Return a network drawn in text, a line a stage: its output and a square for each block.

    Example:
        >>> print(sketch(model_config("resnet20_cifar")))
        32x32     16  ■ ■ ■
        16x16     32  ■ ■ ■
        8x8       64  ■ ■ ■
    """
    lines = []
    for row, blocks in zip(part_rows(config)[1:-1], config.blocks, strict=True):
        height, width, channels = row["output"].split("x")
        shown = ["■"] * min(blocks, 24) + (["..."] if blocks > 24 else [])
        lines.append(f"{height + 'x' + width:9} {channels:>6}  {' '.join(shown)}")
    return "\n".join(lines)


def block_kind(config: NetworkConfig) -> str:
    """Return what a network's blocks are called."""
    kinds = {DenseNetConfig: "dense layer", ChainConfig: "convolution"}
    return kinds.get(type(config)) or config.block


def part_rows(config: NetworkConfig) -> list[dict]:
    """Return a row for the stem, each stage and the head: blocks, output, params, MACs, field.

    Raises:
        ConfigError: Height or width of the input is unknown.
    """
    kind = block_kind(config)
    counts = {f"stage{i}": f"{n} x {kind}" for i, n in enumerate(config.blocks, start=1)}
    return [
        {
            "part": part.name,
            "blocks": counts.get(part.name, ""),
            "output": "x".join(map(str, part.output_shape)),
            "params": part.trainable_params,
            "macs": part.macs,
            "total_activation_bytes": part.total_activation_bytes,
            "receptive_field": part.receptive_field,
        }
        for part in complexity(config).stages()
    ]


def published_lines(name: str, params: int) -> list[str]:
    """Return what the paper says of a named network, a line each; none where it says nothing.

    Args:
        name: Catalog name.
        params: Counted parameters, to stand beside the paper's.
    """
    said = published(name)
    if said is None:
        return []
    lines = []
    if said.params_millions is not None:
        lines.append(f"parameters {said.params_millions:g} M (counted: {params:,})")
    lines += [f"error {value:g} % ({measure})" for measure, value in said.errors.items()]
    return [f"{said.source}: {line}" for line in lines]


def catalog_rows(names: list[str], sort: str = "name") -> list[dict]:
    """Return a row for each network: name, input, params, MACs, and the paper's error.

    Args:
        names: Catalog names.
        sort: One of `SORT_KEYS`. Errors are sorted within each measurement, since those of other
            tasks or crops do not compare; networks without one come last.

    Raises:
        ConfigError: `sort` is unknown.
    """
    if sort not in SORT_KEYS:
        raise ConfigError(f"`sort` must be one of {', '.join(SORT_KEYS)}. Received: sort={sort!r}")
    rows = []
    for name in names:
        config = model_config(name)
        cost = complexity(config)
        said = published(name)
        measure, error = (said and said.error) or (None, None)
        rows.append(
            {
                "name": name,
                "input": "x".join(map(str, config.input_shape)),
                "params": cost.trainable_params,
                "macs": cost.macs,
                "error": error,
                "measure": measure,
                "source": said.source if said else None,
            }
        )

    def key(row):
        if sort == "error":
            return (row["measure"] is None, row["measure"] or "", row["error"] or 0, row["name"])
        return natural(row["name"]) if sort == "name" else (row[sort], natural(row["name"]))

    return sorted(rows, key=key)

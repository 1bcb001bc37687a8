"""The papers' functions in plain NumPy, in float64 and channels last, for comparison."""

import numpy as np


def convolution(x, kernel, strides=1, dilation=1):
    """Convolve, grouped as the kernel's depth says, with half a kernel of zeros on every side."""
    height, width, depth, filters = kernel.shape
    groups = x.shape[-1] // depth
    reach = (dilation * (height // 2), dilation * (width // 2))
    x = np.pad(x, ((0, 0), (reach[0],) * 2, (reach[1],) * 2, (0, 0)))
    rows = range(reach[0], x.shape[1] - reach[0], strides)
    columns = range(reach[1], x.shape[2] - reach[1], strides)
    outputs = np.zeros((len(x), len(rows), len(columns), filters))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            top, left = row - reach[0], column - reach[1]
            window = x[:, top:, left:][:, ::dilation, ::dilation][:, :height, :width]
            for f in range(filters):
                first = depth * (f // (filters // groups))
                seen = window[..., first : first + depth]
                outputs[:, i, j, f] = (seen * kernel[..., f]).sum(axis=(1, 2, 3))
    return outputs


def windows(x, size, strides, dilation=1, before=0):
    """Yield, for every output pixel, its place and the list of the pixels in its window."""
    height, width = x.shape[1:3]
    for i, row in enumerate(range(0, height, strides)):
        for j, column in enumerate(range(0, width, strides)):
            rows = [row - before + dilation * tap for tap in range(size)]
            columns = [column - before + dilation * tap for tap in range(size)]
            pixels = [
                x[:, r, c] for r in rows for c in columns if 0 <= r < height and 0 <= c < width
            ]
            yield (i, j), pixels


def pool(x, reduce, size, strides, dilation=1, before=0):
    """Reduce the pixels of each window that lie in the image."""
    height, width = (-(-side // strides) for side in x.shape[1:3])
    outputs = np.zeros((len(x), height, width, x.shape[3]))
    for (i, j), pixels in windows(x, size, strides, dilation, before):
        outputs[:, i, j] = reduce(pixels, axis=0)
    return outputs


def average(x, size, strides, dilation=1):
    """Average from each `strides`-th pixel on."""
    return pool(x, np.mean, size, strides, dilation)


def blur(x, strides):
    """Blur with (1 2 1) x (1 2 1) / 16, the border pixels repeated, and subsample."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    x = (x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]) / 4
    x = (x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]) / 4
    return x[:, ::strides, ::strides]


def relu(x):
    """Return the positive part."""
    return np.maximum(x, 0)


def sigmoid(x):
    """Return the logistic function."""
    return 1 / (1 + np.exp(-x))


def batch_norm(x, norm, training=False):
    """Normalise as a Keras layer does, by its moving statistics or the batch's."""
    mean, variance = norm.moving_mean, norm.moving_variance
    if training:
        mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    scale = values(norm.gamma) / np.sqrt(values(variance) + norm.epsilon)
    return (x - values(mean)) * scale + values(norm.beta)


def group_norm(x, norm):
    """Normalise each sample over the channels of a group (Wu 2018)."""
    grouped = x.reshape(*x.shape[:3], norm.groups, -1)
    mean = grouped.mean(axis=(1, 2, 4), keepdims=True)
    variance = grouped.var(axis=(1, 2, 4), keepdims=True)
    x = ((grouped - mean) / np.sqrt(variance + norm.epsilon)).reshape(x.shape)
    return x * values(norm.gamma) + values(norm.beta)


def values(variable):
    """Return a variable or array in float64."""
    values = variable.numpy() if hasattr(variable, "numpy") else variable
    return np.asarray(values, dtype="float64")


FIGURE_4 = {
    "post": "C N R C N + R",
    "bn_after_addition": "C N R C + N R",
    "relu_before_addition": "C N R C N R +",
    "relu_only": "R C N R C N +",
    "pre": "N R C N R C +",
}
"""He 2016 (arXiv:1603.05027), Fig. 4: convolution, normalisation, ReLU, and addition, in order."""


def follow(figure, x, block, shortcut, begins_shared=False, training=False):
    """Run the parts of a block in the order of a figure.

    Args:
        figure: As in `FIGURE_4`.
        x: The block's input.
        block: Whose convolutions and normalisations to take, each when its turn comes.
        shortcut: Function that leads past the branch, or None.
        begins_shared: Whether the shortcut starts where the first convolution does.
        training: Whether normalisations use the batch.
    """
    convolutions = zip(block.specs, block.convolutions, strict=True)
    norms = iter([norm for norm in block.normalizations if norm is not None])
    start = x
    for number, part in enumerate(figure.split()):
        if part == "C":
            if begins_shared and "C" not in figure.split()[:number]:
                start = x
            spec, conv = next(convolutions)
            x = convolution(x, values(conv.kernel), spec.strides, spec.dilation)
        elif part == "N":
            x = batch_norm(x, next(norms), training)
        elif part == "R":
            x = relu(x)
        elif shortcut is not None:
            x = x + shortcut(start)
    return x

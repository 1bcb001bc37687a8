"""The networks in PyTorch: timm's ResNet-50, and those for CIFAR, which timm does not have."""

import torch
from torch import nn
from torch.nn import functional


def make(network) -> nn.Module:
    """Return a network of `benchmarks.grid`; its outputs are logits."""
    if network.family.startswith("resnet50"):
        return _resnet50(network.family == "resnet50")
    body, channels = _FAMILIES[network.family](*network.numbers)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, network.classes))
    return nn.Sequential(*body, *head)


def _resnet50(as_in_paper):
    """Return timm's (v1.5), if asked for with the strides in the 1x1 convolutions (v1)."""
    model = _import_timm().create_model("resnet50")
    for stage in (model.layer2, model.layer3, model.layer4) if as_in_paper else ():
        first = stage[0]
        first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
    return model


def _import_timm():
    """Import timm, past a torchvision whose compiled part does not load.

    PyPI's torchvision is for CUDA. With a PyTorch for CPUs its import fails for want of two of its
    operators, which no network here uses: they are declared.
    """
    try:
        import timm
    except RuntimeError:
        for operator in ("nms", "qnms"):
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _OPERATORS.append(torch.library.Library("torchvision", "FRAGMENT"))
            _OPERATORS[-1].define(schema)
        import timm
    return timm


_OPERATORS = []  # an operator is there as long as its library


def _conv(before, filters, size, stride=1):
    conv = nn.Conv2d(before, filters, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return conv


def _norm_relu(channels):
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


class _Basic(nn.Module):
    """Two convolutions and a parameter-free shortcut (option A)."""

    def __init__(self, before, width, stride):
        super().__init__()
        self.stride, self.new = stride, width - before
        self.branch = nn.Sequential(
            _conv(before, width, 3, stride),
            *_norm_relu(width),
            _conv(width, width, 3),
            nn.BatchNorm2d(width),
        )

    def forward(self, x):
        """Add the branch to the shortcut."""
        y = self.branch(x)
        if self.stride > 1:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))
        return functional.relu(x + y)


class _PreActivated(nn.Module):
    """Norm-ReLU-convolution twice; the shortcut projects where the width changes."""

    def __init__(self, before, width, stride):
        super().__init__()
        self.activate = nn.Sequential(*_norm_relu(before))
        self.branch = nn.Sequential(
            _conv(before, width, 3, stride), *_norm_relu(width), _conv(width, width, 3)
        )
        self.project = _conv(before, width, 1, stride) if before != width else None

    def forward(self, x):
        """Add the branch to the shortcut."""
        activated = self.activate(x)
        shortcut = x if self.project is None else self.project(activated)
        return shortcut + self.branch(activated)


class _Dense(nn.Module):
    """Norm-ReLU-convolution with 1x1 and 3x3 pixels; its outputs join its inputs."""

    def __init__(self, before, growth):
        super().__init__()
        self.branch = nn.Sequential(
            *_norm_relu(before),
            _conv(before, 4 * growth, 1),
            *_norm_relu(4 * growth),
            _conv(4 * growth, growth, 3),
        )

    def forward(self, x):
        """Concatenate inputs and outputs."""
        return torch.cat([x, self.branch(x)], 1)


def _residual(block, blocks, widths):
    """Return three stages of residual blocks; all but the first begin with a stride of 2."""
    layers, before = [], 16
    for stage, width in enumerate(widths):
        for number in range(blocks):
            layers.append(block(before, width, 2 if stage and not number else 1))
            before = width
    return layers


def _resnet(depth):
    """ResNet for CIFAR (He 2015, section 4.2)."""
    stem = (_conv(3, 16, 3), *_norm_relu(16))
    return [*stem, *_residual(_Basic, (depth - 2) // 6, (16, 32, 64))], 64


def _wrn(depth, factor):
    """Wide residual network (Zagoruyko 2016, Table 1)."""
    widths = [16 * factor, 32 * factor, 64 * factor]
    blocks = _residual(_PreActivated, (depth - 4) // 6, widths)
    return [_conv(3, 16, 3), *blocks, *_norm_relu(widths[-1])], widths[-1]


def _densenet_bc(depth, growth):
    """DenseNet-BC for CIFAR (Huang 2016, section 4)."""
    channels = 2 * growth
    layers = [_conv(3, channels, 3)]
    for stage in range(3):
        for _ in range((depth - 4) // 6):
            layers.append(_Dense(channels, growth))
            channels += growth
        if stage < 2:
            layers += [*_norm_relu(channels), _conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
    return [*layers, *_norm_relu(channels)], channels


_FAMILIES = {"resnet": _resnet, "wrn": _wrn, "densenet_bc": _densenet_bc}

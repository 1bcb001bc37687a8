"""The names of the constructors, each with the network it builds and its source.

Pure Python, so that the package can name them without importing Keras.
"""

__all__ = ["CIFAR", "NAMES", "TABLE"]

CIFAR = (
    "CifarDenseNet",
    "CifarPlainNet",
    "CifarPreActResNet",
    "CifarResNet",
    "CifarStochasticDepthResNet",
    "CifarWideResNet",
)
"""Constructors that take depth and width."""

_HE_2015 = "He 2015, arXiv:1512.03385, Table 1"
_HE_2016 = "He 2016, arXiv:1603.05027"
_WIDE = "Zagoruyko 2016, arXiv:1605.07146, section 3.2"
_RESNEXT = "Xie 2017, arXiv:1611.05431, Table 1"
_SE = "Hu 2018, arXiv:1709.01507, Table 1"
_TRICKS = "He 2018, arXiv:1812.01187, section 4"
_DENSE = "Huang 2016, arXiv:1608.06993, Table 1"
_V1_5 = "Goyal 2017, arXiv:1706.02677, section 5.1 (stride in the 3x3 convolution)"
_BIT = "Kolesnikov 2019, arXiv:1912.11370, section 3.1"
_RS = "Bello 2021, arXiv:2103.07579, section 6"

TABLE = (
    *((f"ResNet{d}", f"resnet{d}", f"ResNet-{d}", _HE_2015) for d in (18, 34)),
    *((f"ResNet{d}", f"resnet{d}", f"ResNet-{d} v1", _HE_2015) for d in (50, 101, 152)),
    *((f"ResNet{d}V1_5", f"resnet{d}_v1_5", f"ResNet-{d} v1.5", _V1_5) for d in (50, 101, 152)),
    *(
        (f"PreActResNet{d}", f"preact_resnet{d}", f"a pre-activation ResNet-{d} (v2)", _HE_2016)
        for d in (18, 34, 50, 101, 152, 200)
    ),
    *((f"WideResNet{d}_2", f"wide_resnet{d}_2", f"WRN-{d}-2", _WIDE) for d in (18, 34, 50, 101)),
    *(
        (f"ResNeXt{d}_{size}", f"resnext{d}_{size}", f"ResNeXt-{d} {size}", _RESNEXT)
        for d in (50, 101)
        for size in ("32x4d", "32x8d", "64x4d")
    ),
    *((f"SEResNet{d}", f"se_resnet{d}", f"SE-ResNet-{d}", _SE) for d in (18, 34, 50, 101, 152)),
    *(
        (f"SEResNeXt{d}_32x4d", f"se_resnext{d}_32x4d", f"SE-ResNeXt-{d} 32x4d", _SE)
        for d in (50, 101)
    ),
    *(
        (f"ResNet{d}{v.upper()}", f"resnet{d}{v}", f"ResNet-{d}-{v.upper()}", _TRICKS)
        for d in (50, 101, 152)
        for v in "cdt"
    ),
    *(
        (f"BiTResNet{d}x{k}", f"resnetv2_{d}x{k}_bit", f"a BiT ResNet-{d}x{k}", _BIT)
        for d, k in ((50, 1), (50, 3), (101, 1), (101, 3), (152, 2), (152, 4))
    ),
    *(
        (f"ResNetRS{d}", f"resnet_rs{d}", f"ResNet-RS-{d}", _RS)
        for d in (50, 101, 152, 200, 270, 350, 420)
    ),
    *((f"DenseNet{d}", f"densenet{d}", f"DenseNet-{d}", _DENSE) for d in (121, 161, 169, 201, 264)),
)
"""Constructor, catalog name, title and reference of each ImageNet network."""

NAMES = (*CIFAR, *(row[0] for row in TABLE))
"""All constructors."""

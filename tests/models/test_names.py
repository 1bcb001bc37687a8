"""Names as people write them are understood, or answered with the name that was meant."""

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import keras_resnets as kr
from keras_resnets.cli import cli
from keras_resnets.models.catalog import canonical_name
from keras_resnets.models.constructor_table import TABLE
from keras_resnets.models.names import _PEERS

UNDERSTOOD = {
    "ResNet50": "resnet50",
    "resnet-50": "resnet50",
    "ResNet 50": "resnet50",
    "resnet_18": "resnet18",
    "RESNET101": "resnet101",
    "ResNet-50-v1": "resnet50",
    "ResNet50 v1.5": "resnet50_v1_5",
    "resnet50v1.5": "resnet50_v1_5",
    "resnet_vd_50": "resnet50d",
    "ResNet-50-D": "resnet50d",
    "resnetrs50": "resnet_rs50",
    "ResNet-RS-420": "resnet_rs420",
    "WideResNet-28-10": "wrn28_10_cifar",
    "wrn-28-10": "wrn28_10_cifar",
    "wrn28_10": "wrn28_10_cifar",
    "WRN-16-4": "wrn16_4_cifar",
    "WRN-50-2": "wide_resnet50_2",
    "wide-resnet-50-2": "wide_resnet50_2",
    "wideresnet101_2": "wide_resnet101_2",
    "ResNeXt-50 32x4d": "resnext50_32x4d",
    "ResNeXt-29-8x64d": "resnext29_8x64d_cifar",
    "seresnext50_32x4d": "se_resnext50_32x4d",
    "SE-ResNet-50": "se_resnet50",
    "preactresnet18": "preact_resnet18",
    "Pre-Activation-ResNet-50": "preact_resnet50",
    "PlainNet-18": "plain18",
    "densenet-121": "densenet121",
    "densenet_121": "densenet121",
    "DenseNet-BC-190-40": "densenet_bc_190_40_cifar",
    "ResNet-44-CIFAR": "resnet44_cifar",
    "BiT-R50x1": "resnetv2_50x1_bit",
}

ANSWERED = {
    "resnet20": "did you mean 'resnet20_cifar'",
    "ResNet-110": "did you mean 'resnet110_cifar'",
    "preact-resnet-164": "did you mean 'preact_resnet164_cifar'",
    "plain20": "did you mean 'plain20_cifar'",
    "WRN-34-10": "can mean wide_resnet34_10 or wrn34_10_cifar",
    "ResNet-50-C": "can mean resnet50_c or resnet50c",
    "ResNet51": "nearest legal: 50",
    "resnet20_cifar100": "did you mean 'resnet20_cifar'.*`classes`",
    "cifar10_resnet56": "did you mean 'resnet56_cifar'.*`classes`",
    "resnext50": "did you mean 'resnext50_32x4d'.*groups",
    "seresnext101": "did you mean 'se_resnext101_32x4d'",
    "densenet-100-12": "'densenet_100_12_cifar'.*'densenet_bc_100_12_cifar'",
    "resnet_50_imagenet": "did you mean 'resnet50'.*No weights",
    # Another library's network: not the one of that name here.
    "ResNet50V2": "'preact_resnet50'.*stride in a stage's last block",
    "resnet_v2_50": "'preact_resnet50'.*first block once more",
    "resnetv2_50": "'preact_resnet50'.*first block once more",
    "resnetv2_50d": "'preact_resnet50'",
    "resnetv2_50x1_bitm": "'resnetv2_50x1_bit'.*zeros",
    "seresnet50": "'se_resnet50'.*bottleneck_stride='3x3'",
    "seresnet18": "'se_resnet18'.*multiple of 8",
    "resnetblur50": "'resnet50_blur'.*reflects the border",
    "resnet10t": "'resnet18d'.*stem='tiered'",
    "resnet14t": "'resnet26t'.*blocks=",
    "resnet50.a1_in1k": "'resnet50_v1_5'.*3x3",
    "tv_resnet50": "'resnet50_v1_5'.*3x3",
    "BiT-M-R50x1": "'resnetv2_50x1_bit'.*zeros",
    "BiT-M-R101x3": "'resnetv2_101x3_bit'.*zeros",
    "BiT-S-R152x4-ILSVRC2012": "'resnetv2_152x4_bit'.*zeros",
    "https://tfhub.dev/google/bit/m-r50x1": "'resnetv2_50x1_bit'.*zeros",
    "google/bit-50": "'resnetv2_50x1_bit'.*zeros",
    "resnetv2_50x1_bit.goog_in21k": "'resnetv2_50x1_bit'.*zeros",
    # Whose they are in front, which weights behind.
    "microsoft/resnet-50": "'resnet50_v1_5'.*3x3.*'resnet50'.* No weights",
    "microsoft/resnet-18": "'resnet18'.* No weights",
    "pytorch/vision:resnet101": "'resnet101_v1_5'.*3x3",
    "timm/resnet50.a1_in1k": "'resnet50_v1_5'.*3x3",
    "hf-hub:timm/resnet50d.ra2_in1k": "'resnet50d'.* No weights",
    "timm/resnet18.a1_in1k": "'resnet18'.* No weights",
    "resnet34.bt_in1k": "'resnet34'.* No weights",
    "timm/wide_resnet50_2.tv2_in1k": "'wide_resnet50_2'.* No weights",
    "timm/resnext50_32x4d.fb_swsl_ig1b_ft_in1k": "'resnext50_32x4d'.* No weights",
    "timm/seresnet50.a1_in1k": "'se_resnet50'.*bottleneck_stride='3x3'",
    "timm/resnetrs50.tf_in1k": "'resnet_rs50'.* No weights",
    "timm/densenet121.ra_in1k": "'densenet121'.* No weights",
    "keras/resnet_50_imagenet": "'resnet50'.* No weights",
    "keras/resnet_v2_50_imagenet": "'preact_resnet50'.*first block once more",
    "someone/resnet51": "nearest legal: 50",
    "someone/resnet20.b": "did you mean 'resnet20_cifar'",
    "/": "no model is named '/'",
}


@pytest.mark.parametrize("written, name", UNDERSTOOD.items())
def test_other_spellings_are_understood(written, name):
    assert canonical_name(written) == name
    assert kr.model_config(written) == kr.model_config(name)
    assert kr.list_models(written) == [name]


@pytest.mark.parametrize("written, answer", ANSWERED.items())
def test_what_is_not_clear_is_answered_and_not_built(written, answer):
    with pytest.raises(kr.ConfigError, match=answer):
        kr.model_config(written)


@pytest.mark.parametrize("regex, meant, why", _PEERS)
def test_every_answer_is_needed(regex, meant, why):
    import re

    plain = [name.lower().replace("-", "_").replace(".", "_") for name in ANSWERED]
    names = [*plain, "resnet18_in1k"]
    assert [name for name in names if re.fullmatch(regex, name)], regex


@pytest.mark.parametrize("constructor, name", [row[:2] for row in TABLE])
def test_constructors_are_names(constructor, name):
    assert canonical_name(constructor) == name


@given(st.sampled_from(kr.list_models()), st.sampled_from("-_ "), st.sampled_from([str, str.upper]))
def test_listed_names_stay_themselves(name, separator, case):
    assert canonical_name(name) == name
    answer = answered(case(name).replace("_", separator))
    # Else it is two networks, or another library's.
    assert answer == name or (answer.startswith("no model is named") and name in answer)


@given(st.text(alphabet="resntwid0125xv_-. ", max_size=14))
def test_any_text_is_a_name_or_one_line(text):
    answer = answered(text)
    assert "\n" not in answer
    assert " " in answer or answered(answer) == answer


def answered(written) -> str:
    """Return the name, or what the error says."""
    try:
        return canonical_name(written)
    except kr.ConfigError as error:
        return str(error)


def test_a_model_has_the_catalogs_name():
    model = kr.create_model("ResNet-20-CIFAR", widths=(4, 4, 4), stem_width=4, blocks=(1, 1, 1))
    assert model.name == "resnet20_cifar"


def test_the_command_understands_and_answers():
    run = CliRunner().invoke
    assert run(cli, ["describe", "ResNet-18"]).output.startswith("resnet18: ")
    assert "resnet50 " in run(cli, ["list", "ResNet-50"]).output
    assert "wrn28_10_cifar" in run(cli, ["list", "WRN*"]).output
    assert "resnet20_cifar" in run(cli, ["list", "resnet20"]).output
    for command in ("list", "describe", "train"):
        answer = run(cli, [command, "ResNet50V2"])
        assert "did you mean 'preact_resnet50'" in f"{answer.output}{answer.exception}"
        assert answer.exit_code != 0


def test_a_run_folder_is_of_the_network_not_of_its_spelling():
    from keras_resnets.training import TrainingSettings
    from keras_resnets.training.checks import run_identity

    one, other = (run_identity(name, {}, TrainingSettings()) for name in ("ResNet-18", "resnet18"))
    assert one == other

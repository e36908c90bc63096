"""The grammar of backbone references: what is read is written back, what is wrong is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer.backbones.reference import BackboneReference
from transfer.errors import UserError

parse = BackboneReference.parse
_NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1)
_VALUE = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.-", min_size=1)
_WEIGHTS = st.none() | st.text("abcdefgXYZ0123456789_./?=&@~ äß-", min_size=1).filter(lambda text: text == text.strip())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rootstock/strokes", BackboneReference("rootstock", "strokes")),
        ("rootstock/strokes@none", BackboneReference("rootstock", "strokes", (), "none")),
        (
            "torchvision/mobilenet_v2@IMAGENET1K_V2",
            BackboneReference("torchvision", "mobilenet_v2", (), "IMAGENET1K_V2"),
        ),
        (
            "torchvision/mobilenet_v2?width_mult=0.35@path/to.pth",
            BackboneReference("torchvision", "mobilenet_v2", (("width_mult", "0.35"),), "path/to.pth"),
        ),
        (
            "torchvision/resnet18?resize_px=64&crop_px=56",
            BackboneReference("torchvision", "resnet18", (("resize_px", "64"), ("crop_px", "56"))),
        ),
        (
            "torchvision/resnet18@../odd@name?a=b&c.pth",
            BackboneReference("torchvision", "resnet18", (), "../odd@name?a=b&c.pth"),
        ),
    ],
)
def test_a_reference_is_read_and_written_back(text: str, expected: BackboneReference) -> None:
    assert parse(text) == expected
    assert str(expected) == text


@given(st.sampled_from(["torchvision", "rootstock"]), _NAME, st.dictionaries(_NAME, _VALUE, max_size=3), _WEIGHTS)
def test_every_reference_survives_writing_and_reading(
    source: str, arch: str, options: dict[str, str], weights: str | None
) -> None:
    reference = BackboneReference(source, arch, tuple(options.items()), weights)
    assert parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a backbone reference; write <source>/<arch>"),
        ("mobilenet_v2", "is not a backbone reference; write <source>/<arch>"),
        ("torchvision/", "is not a backbone reference"),
        ("torchvision/resnet18@", "is not a backbone reference"),
        ("torchvison/resnet18", "known sources are torchvision, rootstock, timm, mlflow, did you mean torchvision"),
        ("keras/resnet18", "the source 'keras'; known sources are torchvision, rootstock, timm, mlflow[.]"),
        ("mlflow/digits", "names no version of the registered model 'digits'; write mlflow/digits@ALIAS or"),
        ("mlflow/digits@none", "names no version of the registered model 'digits'"),
        ("torchvision/resnet18?", "has the option ''; write .key=value"),
        ("torchvision/resnet18?groups", "has the option 'groups'; write .key=value"),
        ("torchvision/resnet18?groups=", "has the option 'groups='"),
        ("torchvision/resnet18?groups=1&groups=2", "has the option 'groups=2'; .* each key once"),
    ],
)
def test_what_is_no_reference_is_named_with_the_remedy(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse(text)


@pytest.mark.parametrize(
    ("weights", "file"),
    [
        (None, None),
        ("none", None),
        ("DEFAULT", None),
        ("IMAGENET1K_V1", None),
        ("IMAGENET1K_SWAG_E2E_V1", None),
        ("model.pth", "model.pth"),
        ("./IMAGENET1K_V1", "./IMAGENET1K_V1"),
        ("imagenet1k_v1", "imagenet1k_v1"),
        ("~/Weights/A.safetensors", "~/Weights/A.safetensors"),
    ],
)
def test_a_weights_file_is_told_from_a_published_name(weights: str | None, file: str | None) -> None:
    reference = BackboneReference("torchvision", "resnet18", (), weights)
    assert reference.weights_file == file
    assert reference.is_random == (weights == "none")


def test_other_weights_leave_the_network_as_it_is() -> None:
    reference = parse("torchvision/mobilenet_v2?width_mult=0.35@a.pth")
    assert str(reference.with_weights("none")) == "torchvision/mobilenet_v2?width_mult=0.35@none"
    assert str(reference.with_weights(None)) == "torchvision/mobilenet_v2?width_mult=0.35"


def test_other_sizes_replace_the_written_ones() -> None:
    sized = BackboneReference.parse("torchvision/mobilenet_v2?crop_px=32&width_mult=0.35@none").with_sizes(64, 48)
    assert str(sized) == "torchvision/mobilenet_v2?crop_px=48&width_mult=0.35&resize_px=64@none"

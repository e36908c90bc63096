"""Weights files cut short, damaged, unsafe and cut short, or larger than the memory: one sentence for each."""

import json
import random
import resource
from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from adapters.weights_files import load_weights
from transfer.backbones.reference import BackboneReference
from transfer.errors import EnvironmentFault, UserError

WHOLE = {"w": torch.ones(20), "b": torch.ones(3, dtype=torch.float16)}
KINDS = ("zip.pth", "legacy.pth", "flat.safetensors")


def _named(path: Path) -> BackboneReference:
    return BackboneReference.parse(f"torchvision/mobilenet_v2@{path}")


def _whole(kind: str) -> bytes:
    if kind == "flat.safetensors":
        return save(WHOLE)
    buffer = BytesIO()
    torch.save(WHOLE, buffer, _use_new_zipfile_serialization=kind == "zip.pth")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_truncated_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    content, path = _whole(kind), tmp_path / kind
    step = 7 if kind == "zip.pth" else 1
    for n_bytes in range(0, len(content), step):
        path.write_bytes(content[:n_bytes])
        with pytest.raises(UserError, match=r"is truncated or is no weights file .*; copy or download it again"):
            load_weights(_named(path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_read_or_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    content, path = _whole(kind), tmp_path / kind
    draw, refusals = random.Random(0), []
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 1, 5))):
            damaged[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            load_weights(_named(path))
        except UserError as error:
            refusals.append(str(error))
    assert 0 < len(refusals) < 400
    assert all(str(path) in sentence and "\n" not in sentence for sentence in refusals)


def test_a_small_file_that_asks_for_more_memory_than_there_is_is_damaged(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1 << 50], "data_offsets": [0, 1 << 52]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    legacy = _whole("legacy.pth").replace(b"K\x14Ntq", b"\x8a\x07" + (1 << 50).to_bytes(7, "little") + b"Ntq")
    assert legacy != _whole("legacy.pth")
    (tmp_path / "w.pth").write_bytes(legacy)
    for name in ("w.safetensors", "w.pth"):
        with pytest.raises(UserError, match="is truncated or is no weights file"):
            load_weights(_named(tmp_path / name))


@pytest.mark.parametrize("room_bytes", [20_000_000, 80_000_000])
def test_a_file_larger_than_the_memory_is_not_the_users_mistake(tmp_path: Path, room_bytes: int) -> None:
    n_bytes = 60_000_000
    header = json.dumps({"w": {"dtype": "U8", "shape": [n_bytes], "data_offsets": [0, n_bytes]}}).encode()
    with (tmp_path / "w.safetensors").open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + n_bytes)
    in_use = resource.getpagesize() * int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + room_bytes, before[1]))
    try:
        with pytest.raises(EnvironmentFault, match=r"\(60 MB\) does not fit into the memory that is free; end other"):
            load_weights(_named(tmp_path / "w.safetensors"))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_an_unsafe_file_cut_off_after_the_name_of_its_code_is_still_called_unsafe(tmp_path: Path) -> None:
    for end in (b"(S'touch ran'\ntR.", b"(S'touch"):
        (tmp_path / "w.pth").write_bytes(b"cposix\nsystem\n" + end)
        with pytest.raises(UserError, match="holds more than tensors and was refused"):
            load_weights(_named(tmp_path / "w.pth"))

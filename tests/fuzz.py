r"""Change files at random and read them: whatever the bytes, the answer is an image, rows or a sentence.

    python -m tests.fuzz --minutes 10
    python -m tests.fuzz --minutes 10 --target manifest

Seeds are the planted files of the tests and real files that `--seeds` names. Hypothesis draws what is changed, cut,
doubled or set to a number that programs stumble over; each round of examples runs in a process of its own, so that a
decoder that dies is seen too: the bytes it died of are left in `--found`. Ends with 1 where another answer came.
"""

import argparse
import faulthandler
import hashlib
import json
import multiprocessing
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

EXAMPLES = 2_000
SLOW_S = 10.0  # of processor time for one example of at most 256 kB
ADDRESS_SPACE_BYTES = 8 << 30
_BEFORE_COPIES = 8 + hashlib.sha256().digest_size
TEMPTING = tuple(
    struct.pack(order + kind, value)
    for kind, values in (("H", (0, 1, 0x7FFF, 0xFFFF)), ("I", (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF)))
    for order in "<>"
    for value in values
)
Read = Callable[[bytes, Path], None]


def main() -> int:
    """Fuzz for some minutes; print how much was tried and what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--target", choices=sorted(TARGETS), help="one alone; all in turn without it")
    parser.add_argument("--seeds", type=Path, nargs="*", default=[], help="folders of more images")
    parser.add_argument("--found", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-found")
    parser.add_argument("--first", type=int, default=0, help="number of the first round: another one, other examples")
    options = parser.parse_args()
    names = [options.target] if options.target else sorted(TARGETS)
    corpora = {name: TARGETS[name][0](options.seeds) for name in names}
    until, number, failures = time.monotonic() + 60 * options.minutes, options.first, 0
    tried = dict.fromkeys(names, 0)
    while time.monotonic() < until:
        for name in names:
            failures += not _round(name, corpora[name], number, options.found)
            tried[name] += EXAMPLES
        number += 1
    print(f"{tried} examples, {failures} rounds failed", f"; see {options.found}" if failures else "")
    return int(failures > 0)


def _round(name: str, corpus: Sequence[bytes], number: int, found: Path) -> bool:
    """Run one round in a process of its own; say whether it ended well."""
    found.mkdir(parents=True, exist_ok=True)
    current = found / f"{name}-{number}"
    process = multiprocessing.get_context("fork").Process(target=_examples, args=(name, corpus, number, current))
    process.start()
    process.join()
    if process.exitcode == 0:
        current.unlink(missing_ok=True)
        return True
    print(f"{name}, round {number}: ended with {process.exitcode}; the bytes are {current}", flush=True)
    return False


def _examples(name: str, corpus: Sequence[bytes], number: int, current: Path) -> None:
    faulthandler.enable()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as a scan does
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    read = TARGETS[name][1]

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(changed(corpus))
    def example(content: bytes) -> None:
        current.write_bytes(content)
        started = time.process_time()
        read(content, current.with_suffix(".file"))
        assert time.process_time() - started < SLOW_S

    try:
        example()
    except Exception:  # noqa: BLE001  the end of a process: what came is printed, and counted as a failure
        traceback.print_exc()
        sys.exit(1)
    finally:
        current.with_suffix(".file").unlink(missing_ok=True)


@st.composite
def changed(draw: Any, corpus: Sequence[bytes]) -> bytes:
    """Draw a file of the corpus with up to eight changes."""
    content = bytearray(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.integers(0, 8))):
        near = draw(st.booleans())  # headers are short, and most is decided there
        start = draw(st.integers(0, min(len(content), 256) if near else len(content)))
        match draw(st.sampled_from(["flip", "number", "cut", "take out", "double", "noise", "other"])):
            case "flip" if start < len(content):
                content[start] ^= 1 << draw(st.integers(0, 7))
            case "number":
                value = draw(st.sampled_from(TEMPTING))
                content[start : start + len(value)] = value
            case "cut":
                del content[start:]
            case "take out":
                del content[start : start + draw(st.integers(1, 64))]
            case "double":
                length = draw(st.integers(1, 4096))
                content[start:start] = content[start : start + length]
            case "noise":
                noise = draw(st.binary(min_size=1, max_size=32))
                content[start : start + len(noise)] = noise
            case "other":
                other = draw(st.sampled_from(corpus))
                content[start:] = other[draw(st.integers(0, len(other))) :]
    return bytes(content[: 1 << 18])


def image_corpus(folders: Sequence[Path]) -> list[bytes]:
    """Return planted files and real ones, each of at most 64 kB."""
    from tests.adapters.gallery import GALLERY

    with tempfile.TemporaryDirectory() as place:
        planted = Path(place) / "photos" / "a"
        planted.mkdir(parents=True)
        for one in GALLERY:
            one.make(planted / one.name)
        files = [path for path in planted.rglob("*") if path.is_file() and path.stat().st_size <= 1 << 16]
        for folder in folders:
            files += sorted(path for path in folder.rglob("*") if path.is_file())[::97][:60]
        return [content for path in files if 0 < len(content := path.read_bytes()) <= 1 << 16]


def read_image(content: bytes, _: Path) -> None:
    """Decode as the scan and as training do; both refuse with a word of the list, or give what they promise."""
    import numpy as np

    from adapters.described_files import decoded_content
    from transfer.data.decoding import to_pixels
    from transfer.data.facts import FACT_TYPES
    from transfer.data.faults import FAULTS
    from transfer.data.undecodable import UndecodableError
    from transfer.records import Preprocess

    told = decoded_content(content, hashlib.sha256(content).hexdigest())
    assert bool(told.problem) == bool(told.kind) == (not told.facts)
    assert all(FAULTS[word].severity == "warning" for word in told.remarks)
    assert told.facts == {} or set(told.facts) == set(FACT_TYPES)
    refused, pixels = None, None
    try:
        pixels = to_pixels(content, Preprocess(24, 16, (0.5,) * 3, (0.5,) * 3))
    except UndecodableError as refusal:
        refused = refusal.kind
    if pixels is None:
        assert told.kind
        assert FAULTS[str(refused)].severity == "error"
    else:
        assert pixels.shape == (16, 16, 3)
        assert pixels.dtype == np.uint8


def manifest_corpus(_: Sequence[Path]) -> list[bytes]:
    """Return manifests of few and of many rows."""
    from adapters.manifest_file import Header, write_manifest
    from transfer.data.facts import FACT_TYPES

    corpus = []
    with tempfile.TemporaryDirectory() as place:
        for n_rows in (0, 1, 40):
            rows = [_row(number) for number in range(n_rows)]
            write_manifest(Path(place) / "m", rows, FACT_TYPES, Header(("a", "b"), {".txt": 2}, ()))
            corpus.append((Path(place) / "m").read_bytes())
    return corpus


def _row(number: int) -> dict[str, Any]:
    split = ("train", "val", "test")[number % 3]
    named = {
        "path": f"a/{number}.jpg",
        "class_name": "a",
        "label": 0,
        "split": split,
        "group": "g",
        "sha256": f"{number:064}",
    }
    said = {"readable": True, "problem": "", "problem_kind": "", "remarks": "", "n_bytes": number}
    return {**named, **said, "width_px": 3, "mode": "RGB", "brightness": 0.5}


def read_manifests(content: bytes, path: Path) -> None:
    """Read a manifest in every way there is; a damaged one is refused with a sentence."""
    from adapters import manifest_file
    from adapters.json_files import sha256_of
    from transfer.errors import UserError

    path.write_bytes(content)
    quarantine = path.with_suffix(".json")
    quarantine.write_text(json.dumps({"version": 1, "made_from": {"manifest": sha256_of(path)}, "paths": []}))
    try:
        for read in (
            manifest_file.read_header,
            manifest_file.read_frame,
            manifest_file.read_label_of,
            lambda one: manifest_file.read_manifest(one, quarantine),
            lambda one: manifest_file.read_columns((), one),
        ):
            sentence = "."
            try:
                read(path)
            except UserError as refusal:
                sentence = str(refusal)
            assert sentence.endswith(".")
    finally:
        quarantine.unlink()


def scan_corpus(_: Sequence[Path]) -> list[bytes]:
    """Return tables of kept scans, without their digests."""
    from adapters import kept_scan
    from adapters.described_files import Content
    from transfer.data.facts import FACT_TYPES

    rows = {f"a/{number}.jpg": ((1, 2, 3, 4, 5), Content("ab", number, kind="damaged")) for number in range(30)}
    return [kept_scan._packed(dict(list(rows.items())[:count]), FACT_TYPES) for count in (0, 1, 30)]


def read_scan(content: bytes, path: Path) -> None:
    """Read a table whose digest is right and whose content is not: it is dropped, or gives rows."""
    from adapters.kept_scan import _MAGIC, KeptScan
    from transfer.data.facts import FACT_TYPES

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        table = Path(folder) / "1.scan"
        table.write_bytes(_MAGIC + hashlib.sha256(content).digest() + content)
        KeptScan(Path(folder), FACT_TYPES).find("a/1.jpg", (1, 2, 3, 4, 5))


def copies_corpus(_: Sequence[Path]) -> list[bytes]:
    """Return tables of what comparing images told, without their digests."""
    from adapters.kept_copies import _write
    from transfer.data.near_duplicates import near_duplicates

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (0, 1, 40):
            path = Path(folder) / f"{count}.near"
            _write(path, near_duplicates(_thumbnails(count)).known)
            found.append(path.read_bytes()[_BEFORE_COPIES:])
    return found


def read_copies(content: bytes, path: Path) -> None:
    """Read a table whose digest is right and whose content is not: it is of no use, or serves a search."""
    from adapters.kept_copies import _MAGIC, _read
    from transfer.data.near_duplicates import near_duplicates

    path.write_bytes(_MAGIC + hashlib.sha256(content).digest() + content)
    known = _read(path)
    if known is not None:
        near_duplicates(_thumbnails(45)[5:], known)


def _thumbnails(count: int) -> Any:
    import numpy as np

    kinds = np.random.default_rng(0).normal(size=(4, 8, 8))
    small = kinds[np.arange(count) % 4] + np.random.default_rng(1).normal(size=(count, 8, 8)) / 3
    return np.clip(128 + 40 * small.repeat(4, 1).repeat(4, 2), 0, 255).astype(np.uint8)


TARGETS: dict[str, tuple[Callable[[Sequence[Path]], list[bytes]], Read]] = {
    "image": (image_corpus, read_image),
    "manifest": (manifest_corpus, read_manifests),
    "scan": (scan_corpus, read_scan),
    "copies": (copies_corpus, read_copies),
}

if __name__ == "__main__":
    sys.exit(main())

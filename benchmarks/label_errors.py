"""Measure how many planted wrong labels a review names, and how many of those it names are wrong.

    python -m benchmarks.label_errors --shared ../shared
    python -m benchmarks.label_errors --redraw

Labels of real images are flipped: to any other class alike (even), or to the next one (pairs). The product's review is
compared with confident learning as published, on the same predictions: each row by all others, made probabilities by a
temperature. Where the package `cleanlab` is installed its own implementation is compared too. Runs
are kept in docs/label_errors.json, the tables of docs/data.md made from all of them.
"""

import argparse
import importlib.util
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.image_files import list_images, load_examples
from adapters.json_files import sha256_of
from benchmarks.kept import put_table, read_runs, write_runs
from tasks.candidates import candidate
from transfer.backbones.features import extract_features
from transfer.backbones.reference import BackboneReference
from transfer.metrics.label_errors import judge_labels
from transfer.metrics.temperature import calibrated
from transfer.metrics.two_opinions import Opinions
from transfer.records import Row

ROOT = Path(__file__).resolve().parents[1]
RUNS, DOCUMENT = ROOT / "docs" / "label_errors.json", ROOT / "docs" / "data.md"
EVEN, PAIRS = "even", "pairs"
REVIEW, CONFIDENT, CLEANLAB = "review", "confident learning", "cleanlab"
KINDS = ((0.0, EVEN), (0.02, EVEN), (0.1, EVEN), (0.1, PAIRS), (0.3, EVEN))
_MOST = 4000  # images of a set

_MOBILE = "torchvision/mobilenet_v2@{}/weights/mobilenet_v2_imagenet.pth"
CASES = {
    "hymenoptera": (("hymenoptera/train", "hymenoptera/val"), _MOBILE),
    "pacs photo": (("pacs/photo",), _MOBILE),
    "pacs cartoon": (("pacs/cartoon",), _MOBILE),
    "mnist": (("mnist",), "rootstock/strokes"),
    "cifar10": (("cifar10/train",), "rootstock/cifar_resnet20@{}/weights/cifar10_resnet20.pth"),
}


@dataclass(frozen=True)
class Rows:
    """Features and labels of a data set's images: float (N, D), int64 (N,)."""

    features: Tensor
    labels: NDArray[np.int64]
    n_classes: int


def main() -> None:
    """Run what was asked for, and write the tables."""
    options = _options()
    if not options.redraw:
        for name in options.cases:
            rows = _loaded(options.shared, name)
            for share, kind in KINDS:
                for seed in range(options.seeds):
                    _add({"data": name, "share": share, "kind": kind, "seed": seed, **run(rows, share, kind, seed)})
            print(f"{name}: done", flush=True)
    text = tables(read_runs(RUNS))
    print(text)
    put_table(DOCUMENT, "label errors", text)


def run(rows: Rows, share: float, kind: str, seed: int) -> dict[str, Any]:
    """Return what every way names of labels that were flipped, and how sure the product was."""
    noisy, flipped = flipped_labels(rows.labels, rows.n_classes, share, kind, seed)
    labels, began = torch.from_numpy(noisy), time.process_time()
    found = judge_labels(rows.features, labels, rows.n_classes)
    seconds = time.process_time() - began
    scores = Opinions.of(rows.features, labels, rows.n_classes).logits()
    probabilities = (calibrated(scores, labels)[0] * scores).softmax(1).numpy()
    ways = {REVIEW: found.named().numpy(), CONFIDENT: confident_learning(probabilities, noisy)}
    if importlib.util.find_spec("cleanlab") is not None:
        ways[CLEANLAB] = _cleanlab(probabilities, noisy)
    counts = {way: [len(named), len(np.intersect1d(named, flipped))] for way, named in ways.items()}
    hits = np.intersect1d(ways[REVIEW], flipped)
    right = int((found.suggested.numpy()[hits] == rows.labels[hits]).sum())
    sure = float(found.wrong[found.named()].sum())
    about = {"n": len(noisy), "n_flipped": len(flipped), "accuracy": round(found.accuracy, 4), "noise": found.noise}
    return {**about, "counts": counts, "n_right_class": right, "expected": sure, "cpu_s": round(seconds, 2)}


def flipped_labels(
    labels: NDArray[np.int64], n_classes: int, share: float, kind: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels of which a share is wrong, and which."""
    draw = np.random.default_rng(seed)
    flipped = np.sort(draw.choice(len(labels), round(share * len(labels)), replace=False))
    shift = draw.integers(1, n_classes, len(flipped)) if kind == EVEN else np.ones(len(flipped), dtype=np.int64)
    noisy = labels.copy()
    noisy[flipped] = (labels[flipped] + shift) % n_classes
    return noisy, flipped


def confident_learning(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows off the diagonal of the confident joint, int64 (n,).

    Source: Northcutt, Jiang and Chuang 2021, JAIR 70, equation 2 and "Method 2" of section 3.2.
    """
    n_classes = probabilities.shape[1]
    thresholds = np.array([probabilities[labels == one, one].mean() for one in range(n_classes)])
    above = np.where(probabilities >= thresholds, probabilities, -1.0)
    likely = above.argmax(1)
    return np.flatnonzero((above.max(1) >= 0) & (likely != labels))


def tables(runs: Iterable[dict[str, Any]]) -> str:
    """Return a table of draws with flips, and one of labels as they came: mean over the draws, standard deviation."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for one in runs:
        groups[one["data"], one["share"], one["kind"]].append(one)
    told = [set(one["counts"]) for group in groups.values() for one in group]
    ways = [way for way in (REVIEW, CONFIDENT, CLEANLAB) if all(way in one for one in told)]
    heads = " | ".join(f"{way}: found | wrong" for way in ways)
    lines = [f"| data | probe | flipped | draws | {heads} | expected wrong | right class |"]
    lines.append("|" + "---|" * (6 + 2 * len(ways)))
    lines += [_line(key, group, ways) for key, group in sorted(groups.items()) if key[1]]
    lines += ["", f"| labels as they came | probe | {' | '.join(f'{way} names' for way in ways)} |"]
    lines.append("|" + "---|" * (2 + len(ways)))
    for (data, share, _), group in sorted(groups.items()):
        if not share:
            named = " | ".join(str(group[0]["counts"][way][0]) for way in ways)
            lines.append(f"| {data}, {group[0]['n']} | {100 * group[0]['accuracy']:.0f} % | {named} |")
    return "\n".join(lines)


def _line(key: tuple[Any, ...], group: Sequence[dict[str, Any]], ways: Sequence[str]) -> str:
    data, share, kind = key
    found = {way: [100 * one["counts"][way][1] / one["n_flipped"] for one in group] for way in ways}
    wrong = {way: [100 * one["counts"][way][1] / max(1, one["counts"][way][0]) for one in group] for way in ways}
    cells = " | ".join(f"{_spread(found[way])} | {_spread(wrong[way])}" for way in ways)
    n_named, n_found = (sum(one["counts"][REVIEW][place] for one in group) for place in (0, 1))
    expected = f"{100 * sum(one['expected'] for one in group) / n_named:.0f} %" if n_named else ""
    right = f"{100 * sum(one['n_right_class'] for one in group) / n_found:.0f} %" if n_found else ""
    probe = f"{_mean([100 * one['accuracy'] for one in group])} %"
    what = f"{data}, {group[0]['n']} | {probe} | {100 * share:g} %, {kind} | {len(group)}"
    return f"| {what} | {cells} | {expected} | {right} |"


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.0f}"


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.0f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.0f} %"


def _cleanlab(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    from cleanlab.filter import find_label_issues  # type: ignore[import-not-found]  # the product does without it

    return np.asarray(find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1))


def _loaded(shared: Path, name: str) -> Rows:
    folders, reference = CASES[name]
    backbone, _ = candidate(BackboneReference.parse(reference.format(shared)), None)
    features, labels, classes = list[Tensor](), list[int](), tuple[str, ...]()
    for folder in (shared / "datasets" / one for one in folders):
        found = list_images(folder)
        classes = found.classes
        files = found.files[:: -(-len(found.files) // _MOST)]
        rows = [Row(one.path, classes.index(one.class_name), "train", sha256_of(folder / one.path)) for one in files]
        for batch in load_examples(folder, rows, backbone.preprocess):
            with torch.no_grad():
                features.append(extract_features(backbone, batch.permute(0, 3, 1, 2)))
        labels += [row.label for row in rows]
    return Rows(torch.cat(features), np.array(labels, dtype=np.int64), len(classes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="a folder with datasets/ and weights/")
    parser.add_argument("--seeds", type=int, default=5, help="draws of each kind of noise")
    parser.add_argument("--redraw", action="store_true", help="run nothing; write the tables from the runs there are")
    return parser.parse_args()


def _add(run: dict[str, Any]) -> None:
    def same(one: dict[str, Any]) -> bool:
        return all(one[key] == run[key] for key in ("data", "share", "kind", "seed"))

    write_runs(RUNS, [*(one for one in read_runs(RUNS) if not same(one)), run])


if __name__ == "__main__":
    main()

r"""Fine-tune one backbone on one data set with every head, strategy and norm policy, and print what each of them gives.

    python -m benchmarks.strategies digits
    python -m benchmarks.strategies hymenoptera --max-images 300 --data ../shared/datasets/hymenoptera \
        --backbone "torchvision/mobilenet_v2?resize_px=146&crop_px=128@../shared/weights/mobilenet_v2_imagenet.pth"

It runs the stage `finetune` itself, in a project of its own, with a manifest for every seed; the features of frozen
trunks are kept before any clock runs. Results are added to docs/strategies.json: what is there is not measured again.
"""

import argparse
import contextlib
import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch.nn import functional

from adapters.checkpoint_files import STEPS
from adapters.json_files import sha256_of, write_json
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.model_files import WEIGHTS, load_model
from adapters.processes import keep_freed_memory
from adapters.project import state_folder
from adapters.sealed_labels import open_labels
from tasks import finetune, manifest, sample
from tasks.examples import prepared
from tasks.handoffs import MODEL, RANKING
from tasks.history import read_history
from tasks.params import read_params
from transfer.backbones.reference import BackboneReference
from transfer.finetuning.measuring import predict_logits
from transfer.finetuning.strategies import FEATURES, NAMES, STAGED
from transfer.heads.fits import HEADS

RESULTS = Path("docs/strategies.json")
TABLES = ("heads", "strategies", "norms")
STRATEGIES = (*NAMES[:2], "last-2", *NAMES[2:])
AUTO, NORMS = "auto", ("auto", "frozen", "reestimated", "trained")
Key = tuple[str, str, str, str, int]  # see KEY
KEY = ("data", "head", "strategy", "norms", "seed")


def main() -> None:
    """Measure what is missing, then print the tables of the data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what the results call the data set; `digits` needs no folder")
    parser.add_argument("--data", type=Path, help="a folder of class folders")
    parser.add_argument("--backbone", default="rootstock/strokes", help="a backbone reference")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="what is compared")
    parser.add_argument("--max-images", type=int, default=900, help="finetune.max_images_seen")
    options = parser.parse_args()
    results, found = RESULTS.resolve(), read_results()
    keep_freed_memory()  # as every stage does
    arms = {
        "heads": [(head, FEATURES, AUTO) for head in HEADS],
        "strategies": [(HEADS[0], strategy, AUTO) for strategy in STRATEGIES],
        "norms": [(HEADS[0], STAGED, norms) for norms in NORMS],
    }
    chosen = [arm for table_of in options.tables for arm in arms[table_of]]
    wanted = [(options.name, *arm, seed) for seed in options.seeds for arm in chosen]
    data, backbone = options.data and options.data.resolve(), absolute(options.backbone)
    with tempfile.TemporaryDirectory() as scratch:
        for key in dict.fromkeys(wanted):
            project = Path(scratch, str(key[-1]))
            project.mkdir(exist_ok=True)
            if key not in found:
                with contextlib.chdir(project):
                    found[key] = measured(key, data, backbone, options.max_images)
                write_results(results, found)
    print("\n".join(report(options.name, found)))


def absolute(reference: str) -> str:
    """Return a backbone reference that means the same file from any folder."""
    parsed = BackboneReference.parse(reference)
    return (
        reference if parsed.weights_file is None else str(parsed.with_weights(str(Path(parsed.weights_file).resolve())))
    )


def measured(key: Key, data: Path | None, backbone: str, max_images: int) -> dict[str, Any]:
    """Run the stage once; return accuracy and loss on test rows, and its seconds."""
    _, head, strategy, norms, seed = key
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lay_out(data, backbone, seed, {"max_images_seen": max_images, "strategy": FEATURES})
        finetune.train()  # keeps features
        asked = {"max_images_seen": max_images, "strategy": strategy, "head": head, "norms": norms}
        lay_out(data, backbone, seed, asked)
        shutil.rmtree(state_folder(Path.cwd()) / STEPS, ignore_errors=True)  # another strategy may have run the same
        began = time.perf_counter()
        finetune.train()
        seconds = time.perf_counter() - began
        described, (classifier, card) = read_manifest(), load_model(MODEL)
        rows = open_labels(Path.cwd(), described.of_split("test"), "a benchmark", sha256_of(MODEL / WEIGHTS))
        examples = prepared(read_params().data.path, rows, card.preprocess)
    logits = predict_logits(classifier, examples.inputs).double()
    kept = [outcome.name for outcome in read_history(finetune.HISTORY)[1] if outcome.kept]
    return {
        "accuracy": float((logits.argmax(1) == examples.labels).double().mean()),
        "nll": float(functional.cross_entropy(logits, examples.labels)),
        "seconds": seconds,
        "kept": kept,
        "n_test": len(rows),
        "n_train": len(described.of_split("train")),
    }


def lay_out(data: Path | None, backbone: str, seed: int, settings: Mapping[str, Any]) -> None:
    """Write what the stages before leave: parameters, the manifest, the ranking; the last two are written once."""
    params = {
        "data": {"path": "data/digits" if data is None else str(data)},
        "manifest": {"seed": seed},
        "select": {"candidates": [backbone]},
        "finetune": {"seed": seed, **settings},
    }
    Path("params.yaml").write_text(json.dumps(params), encoding="utf-8")
    if RANKING.exists():
        return
    if data is None:
        sample.write()
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
    weights = BackboneReference.parse(backbone).weights_file
    ranking = {"winner": backbone, "candidates": [{"weights_sha256": weights and sha256_of(Path(weights))}]}
    write_json(RANKING, ranking, {"manifest": MANIFEST, "quarantine": QUARANTINE})


def read_results() -> dict[Key, dict[str, Any]]:
    """Return what was measured before."""
    if not RESULTS.is_file():
        return {}
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {tuple(row[name] for name in KEY): row["found"] for row in rows}


def write_results(path: Path, found: Mapping[Key, Mapping[str, Any]]) -> None:
    """Write what was measured, a line a run."""
    rows = [
        json.dumps({**dict(zip(KEY, key, strict=True)), "found": one}, sort_keys=True)
        for key, one in sorted(found.items())
    ]
    path.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


def report(data: str, found: Mapping[Key, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of heads on a frozen trunk, then tables of strategies and norm statistics with the first head."""
    yield from table("head", [(head, rows_of(found, data, head, FEATURES, AUTO)) for head in HEADS])
    yield ""
    yield from table("strategy", [(name, rows_of(found, data, HEADS[0], name, AUTO)) for name in STRATEGIES])
    yield ""
    yield from table("norms", [(name, rows_of(found, data, HEADS[0], STAGED, name)) for name in NORMS])


def rows_of(found: Mapping[Key, Mapping[str, Any]], *arm: str) -> list[Mapping[str, Any]]:
    """Return the results of all seeds of a data set, a head, a strategy and norm statistics."""
    return [one for key, one in found.items() if key[:-1] == arm]


def table(what: str, named: list[tuple[str, list[Mapping[str, Any]]]]) -> Iterator[str]:
    """Yield the lines of a table: means and standard deviations over the seeds."""
    yield f"| {what} | runs | accuracy | loss, nats | seconds | steps kept |"
    yield "|---|---|---|---|---|---|"
    for name, rows in named:
        if rows:
            figures = [
                spread([row[key] for row in rows], digits)
                for key, digits in (("accuracy", 3), ("nll", 3), ("seconds", 1))
            ]
            steps = [step for row in rows for step in row["kept"] if step not in ("probe", "refit")]
            kept = ", ".join(f"{step} {steps.count(step)}" for step in dict.fromkeys(steps))
            yield f"| `{name}` | {len(rows)} | {' | '.join(figures)} | {kept or '-'} |"


def spread(values: list[float], digits: int) -> str:
    """Return mean and standard deviation as text."""
    spread_of = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread_of}"


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()

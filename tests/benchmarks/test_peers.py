"""The comparison with other tools: what it reads off curves, and that its scripts fit together without those tools."""

import ast
import dataclasses
import math
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.peers import methods
from benchmarks.peers.clock import Clock
from benchmarks.peers.curves import Point, Run, Spread, accuracy_at, best, final, seconds_to, times_sooner
from benchmarks.peers.images import PREPROCESS, Source, accuracy, lay_out
from benchmarks.peers.report import best_peer, section, verdicts
from transfer.backbones.executors import FromPixels

SCRIPTS = ("__main__", "clock", "curves", "document", "drawing", "images", "methods", "one", "ours", "plain", "report")


def _run(method: str, *points: tuple[float, float], seed: int = 0, n_test: int = 100) -> Run:
    return Run(method, "leaves", seed, tuple(Point(*point, "") for point in points), n_test, 0.0, "2026-01-31")


OURS = _run(methods.OURS, (2.0, 0.90), (10.0, 0.95), (30.0, 0.94))
PEER = _run(methods.FASTAI, (20.0, 0.80), (40.0, 0.93), (60.0, 0.93), (80.0, 0.91))


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_need_no_other_tool(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("fastai", "fastcore"):
        monkeypatch.setitem(sys.modules, package, None)
    assert import_module(f"benchmarks.peers.{name}").__doc__


def test_every_script_is_listed_here(root: Path) -> None:
    found = {path.stem for path in (root / "benchmarks" / "peers").glob("*.py")}
    assert found == {*SCRIPTS, "fast_ai"}


def test_what_needs_fastai_is_its_one_script(root: Path) -> None:
    path = root / "benchmarks" / "peers" / "fast_ai.py"
    module = ast.parse(path.read_text(encoding="utf-8"), path.name)
    imported = {
        node.module.split(".")[0] for node in ast.walk(module) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert "fastai" in imported
    assert ast.get_docstring(module)


def test_every_peer_can_be_run() -> None:
    assert set(import_module("benchmarks.peers.one").by_name()) == set(methods.PEERS)


def test_the_best_point_is_the_first_of_the_most_accurate() -> None:
    assert best(PEER) == Point(40.0, 0.93, "")
    assert final(PEER) == Point(80.0, 0.91, "")


@pytest.mark.parametrize(("wanted", "seconds"), [(0.85, 2.0), (0.90, 2.0), (0.91, 10.0), (0.96, math.inf)])
def test_seconds_to_an_accuracy(wanted: float, seconds: float) -> None:
    assert seconds_to(OURS, wanted) == seconds


@pytest.mark.parametrize(("moment", "expected"), [(2.0, 0.90), (29.9, 0.95), (1000.0, 0.94)])
def test_accuracy_at_equal_seconds_is_that_of_the_newest_model(moment: float, expected: float) -> None:
    assert accuracy_at(OURS, moment) == expected


def test_there_is_no_accuracy_before_the_first_model() -> None:
    assert math.isnan(accuracy_at(OURS, 1.9))


def test_how_much_sooner() -> None:
    assert times_sooner(OURS, PEER) == 40.0 / 10.0
    assert times_sooner(OURS, _run(methods.FASTAI, (5.0, 0.99))) == 0.0


def test_a_spread_counts_what_was_never_reached() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert Spread.of([1.0, math.inf, math.inf]) == Spread(math.inf, 1.0, math.inf)


def test_a_run_survives_being_written() -> None:
    assert Run.from_plain(OURS.to_plain()) == OURS


def test_verdicts_say_what_is_kept_and_what_is_missed() -> None:
    again = _run(methods.OURS_AGAIN, (0.05, 0.90), (20.0, 0.94))
    told = verdicts([OURS, again, PEER])
    assert told[0] == (
        "- **missed**: every peer's best accuracy at least 8 times sooner (medians: fastai fine_tune(3) 4.0)."
    )
    assert told[1].startswith("- **kept**: last accuracy not below the best peer's 95% interval (ours 0.940;")
    assert told[2].startswith("- **kept**: a run again at least 20 times faster, to the first model: 40.0 times, ")
    assert told[3].startswith("- **missed**: a run again at least 20 times faster, to the end: 1.5 times, ")


def test_eight_times_sooner_is_kept_only_where_every_peer_is_outrun() -> None:
    slow, never = _run(methods.FIXED, (16.0, 0.90)), _run(methods.LOGISTIC, (9.0, 0.99))
    assert verdicts([OURS, slow])[0].startswith("- **kept**")
    assert "logistic regression never reached" in verdicts([OURS, slow, never])[0]
    assert verdicts([OURS, slow, never])[0].startswith("- **missed**")


def test_a_known_executor_counts_apart_and_by_its_first_model() -> None:
    known = _run(methods.OURS_REMEMBERED, (1.0, 0.90))
    told = verdicts([OURS, known, _run(methods.FIXED, (16.0, 0.90)), PEER])
    assert told[0].endswith("sooner (medians: tutorial, fixed extractor 8.0, fastai fine_tune(3) 4.0).")
    assert "the executor is known (medians: tutorial, fixed extractor 16.0, fastai fine_tune(3) never" in told[1]


def test_ours_alone_has_no_verdict_on_peers() -> None:
    assert verdicts([OURS]) == []
    assert verdicts([PEER]) == []
    assert methods.OURS in section("hymenoptera", [OURS])


def test_the_best_peer_is_the_one_with_the_highest_median() -> None:
    lucky = [_run(methods.FIXED, (1.0, value), seed=seed) for seed, value in enumerate((0.5, 0.5, 1.0))]
    steady = [_run(methods.FULL, (1.0, 0.8), seed=seed) for seed in range(3)]
    method, interval = best_peer([*lucky, *steady])
    assert method == methods.FULL
    assert interval.value == 0.8
    assert interval.low == pytest.approx(0.7112, abs=1e-4)  # scipy.stats.binomtest(80, 100).proportion_ci


def test_a_section_has_a_row_for_every_method_and_pairs_seeds() -> None:
    runs = [OURS, _run(methods.OURS, (4.0, 0.95), seed=1), PEER, _run(methods.FASTAI, (40.0, 0.95), seed=1)]
    (row,) = [line for line in section("leaves", runs).splitlines() if line.startswith("| fastai fine_tune(3) | 2")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[6:] == ["7.0 (4.0 to 10.0)", "7.0 (4.0 to 10.0)"]


def test_the_document_names_the_machine_and_shows_a_picture_of_every_data_set(tmp_path: Path) -> None:
    from benchmarks.peers.document import write

    (tmp_path / "images").mkdir()
    write(tmp_path / "peers.md", [OURS, PEER], workers=0, limit_s=60.0)
    text = (tmp_path / "peers.md").read_text(encoding="utf-8")
    assert f"torch {torch.__version__.partition('+')[0]}" in text
    assert "**missed**: every peer's best accuracy" in text
    assert "](images/peers_leaves.png)" in text
    assert "Measured on 2026-01-31: " in text
    assert "Other work ran beside" not in text
    assert (tmp_path / "images" / "peers_leaves.png").stat().st_size > 1000
    write(tmp_path / "peers.md", [OURS, dataclasses.replace(PEER, load=1000.0)], workers=0, limit_s=60.0)
    assert "Other work ran beside" in (tmp_path / "peers.md").read_text(encoding="utf-8")


def test_without_the_images_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", "--data", str(tmp_path)])
    import_module("benchmarks.peers.__main__").main()
    assert capsys.readouterr().out.startswith(f"Skipped: there is no {tmp_path / 'weights'}")


def test_seeds_take_turns_and_the_larger_set_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("benchmarks.peers.__main__")
    monkeypatch.setattr(sys, "argv", ["peers"])
    order = [(data_set, seed) for name, data_set, seed in module._order(module._options()) if name == methods.OURS]
    assert order == [("hymenoptera", 0), ("cifar10", 0), ("hymenoptera", 1), ("hymenoptera", 2)]
    monkeypatch.setattr(sys, "argv", ["peers", "--seeds", "4", "5", "--sets", "cifar10", "--methods", methods.OURS])
    assert list(module._order(module._options())) == [(methods.OURS, "cifar10", 4), (methods.OURS, "cifar10", 5)]


def test_the_clock_stands_still_while_a_model_is_measured() -> None:
    def measure(_: nn.Module) -> float:
        time.sleep(0.2)
        return 0.5

    clock = Clock(measure)
    clock.note("first", nn.Identity())
    clock.note("second", nn.Identity())
    assert [point.name for point in clock.points] == ["first", "second"]
    assert clock.seconds() < 0.2


def test_images_of_a_class_are_drawn_by_the_seed(tmp_path: Path) -> None:
    for part, name in ((part, name) for part in ("train", "test") for name in ("oak", "elm")):
        folder = tmp_path / "data" / part / name
        folder.mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    source = Source(Path("data"), "train", "test", per_class=3)
    drawn = []
    for index, seed in enumerate((0, 0, 1, 2, 3)):
        lay_out(tmp_path, source, seed, tmp_path / str(index))
        drawn.append(sorted(path.name for path in (tmp_path / str(index) / "train" / "oak").iterdir()))
        assert len(list((tmp_path / str(index) / "test").rglob("*.png"))) == 12
    assert drawn[0] == drawn[1]
    assert [len(names) for names in drawn] == [3] * 5
    assert len({tuple(names) for names in drawn}) > 1


def test_accuracy_leaves_the_network_as_it_is() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pixels = torch.randint(0, 256, (11, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = FromPixels(network.eval(), PREPROCESS)(pixels).argmax(1)
    network.train()
    labels[0] = (labels[0] + 1) % 3
    assert accuracy(network, pixels, labels) == pytest.approx(10 / 11)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

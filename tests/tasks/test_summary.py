"""What a person reads at the end: every fact, none of it taken for markup or cut."""

from pathlib import Path
from typing import Any

import pytest

from adapters.json_files import read_json, read_plain_json, write_json, write_plain_json
from tasks import summary
from tasks.handoffs import LOOKS, METRICS, VERDICT

STAGES = [
    {"stage": "manifest", "ran": True, "seconds": 4.2, "compute_s": 1.5},
    {"stage": "select", "ran": False, "seconds": 1.1, "compute_s": 0.0},
    {"stage": "finetune", "ran": False, "seconds": 0.0, "compute_s": 0.0},
]


@pytest.fixture
def finished(project: Path) -> Path:
    figures: dict[str, Any] = {
        "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "n_test": 40,
        "macro_f1": 0.89, "balanced_accuracy": 0.88,
        "references": "equal images seen, not converged",
    }  # fmt: skip
    for name in ("scratch", "random_frozen"):
        figures |= {f"{name}_accuracy": 0.5, f"{name}_accuracy_low": 0.4, f"{name}_accuracy_high": 0.6}
        figures |= {f"{name}_gain": 0.4, f"{name}_gain_low": 0.3, f"{name}_gain_high": 0.5}
    write_plain_json(project / METRICS, figures)
    surely = {name: {"better": True} for name in ("scratch", "random_frozen")}
    write_json(project / VERDICT, {"sentence": "It helped [really].", "comparisons": surely})
    write_json(project / LOOKS, {"n_models": 1, "sentence": "One look."})
    report = {"summary": "45 files; 19 of 19 expectations hold.", "quarantined": []}
    write_json(project / "artifacts/validate/report.json", report)
    write_json(project / "artifacts/select/ranking.json", {"why": "rootstock/strokes wins."})
    registration = {
        "name": "photos", "model_version": "3", "alias": "champion", "model_sha256": "0" * 64,
        "promotion": {"outcome": "promote", "sentence": "Promoted [really]."},
    }  # fmt: skip
    write_json(project / "artifacts/register/registration.json", registration)
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(text.replace("data/digits", "'../my [2] photos'"), encoding="utf-8")
    return project


def shown(project: Path, capsys: pytest.CaptureFixture[str], **outcome: Any) -> str:
    summary.show(project, {"mended": "", "notice": None, "stages": STAGES, **outcome})
    return " ".join(capsys.readouterr().out.split())


def test_table_says_everything(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(finished, capsys)
    for fact in (
        "../my [2] photos: 45 files; 19 of 19 expectations hold.",
        "rootstock/strokes wins.",
        "0.900 (0.800 to 0.950) on 40 test images, balanced accuracy 0.880, macro F1 0.890",
        "It beat from scratch 0.500 (0.400 to 0.600), +40.0 points (+30.0 to +50.0); random frozen features 0.500",
        "equal images seen, not converged",
        "It helped [really].",
        "Promoted [really].",
        "photos version 3, models:/photos@champion",
        "manifest 4.2 s, select restored, finetune unchanged; 5 s in all",
        "Report artifacts/report/index.html",
    ):
        assert fact in text


def test_what_is_known_of_parts_and_slices_is_said(finished: Path) -> None:
    assert {"Parts", "Worst slice"}.isdisjoint(dict(summary.facts(finished)))
    verdict = {
        key: value for key, value in read_json(finished / VERDICT).items() if key not in ("version", "made_from")
    }
    parts = {"probe": "The model is the linear probe.", "nearest_mean": "All training gave much."}
    write_json(finished / VERDICT, {**verdict, "parts": parts, "caveats": ["It was starved."], "early_warnings": []})
    metrics = read_plain_json(finished / METRICS) | {"worst_slice": "class b", "worst_slice_n": 22}
    metrics |= {"worst_slice_accuracy": 0.5, "worst_slice_accuracy_low": 0.3, "worst_slice_accuracy_high": 0.7}
    write_plain_json(finished / METRICS, metrics)
    rows = dict(summary.facts(finished))
    assert rows["Verdict"] == "It helped [really]. It was starved."
    assert rows["Parts"] == "The model is the linear probe. All training gave much."
    assert rows["Worst slice"] == "class b: 0.500 (0.300 to 0.700) on 22 images"


def test_looks_are_told_where_another_model_was_tested_too(finished: Path) -> None:
    assert "Test images" not in dict(summary.facts(finished))
    write_json(finished / LOOKS, {"n_models": 2, "sentence": "Two models [really]."})
    assert dict(summary.facts(finished))["Test images"] == "Two models [really]."


def test_next_steps_can_be_pasted(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "rootstock predict models:/photos@champion '../my [2] photos'" in shown(finished, capsys)


@pytest.mark.parametrize("better", [None, False])
def test_only_what_it_surely_beat_is_called_beaten(finished: Path, better: bool | None) -> None:
    verdict = read_json(finished / VERDICT)
    verdict["comparisons"]["scratch"]["better"] = better
    write_json(finished / VERDICT, verdict)
    rows = dict(summary.facts(finished))
    assert rows["It beat"].startswith("random frozen features 0.500")
    assert rows["Compared with"].startswith("from scratch 0.500 (0.400 to 0.600), +40.0 points")
    verdict["comparisons"]["random_frozen"]["better"] = better
    write_json(finished / VERDICT, verdict)
    assert "It beat" not in dict(summary.facts(finished))


def test_commands_survive_a_shell(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = finished / "artifacts/register/registration.json"
    write_json(path, {**read_json(path), "name": "ants & bees"})
    assert "rootstock predict 'models:/ants & bees@champion' '../my [2] photos'" in shown(finished, capsys)


@pytest.mark.parametrize("outcome", ["ask", "refuse"])
def test_what_the_gate_left_to_a_person_is_a_next_step(
    finished: Path, capsys: pytest.CaptureFixture[str], outcome: str
) -> None:
    path = finished / "artifacts/register/registration.json"
    left_open = {"alias": "challenger", "promotion": {"outcome": outcome, "sentence": "Not promoted."}}
    write_json(path, {**read_json(path), **left_open})
    text = shown(finished, capsys)
    assert ("rootstock promote photos@challenger --why REASON make it the champion" in text) == (outcome == "ask")
    assert "predict models:/photos@challenger" in text


def test_notes_come_after_the_table_unbroken(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notice, mended = "data/[x] is " + "long " * 40, "the alias [y] was missing"
    summary.show(finished, {"mended": mended, "notice": notice, "stages": STAGES})
    lines = capsys.readouterr().out.split("\n")
    assert f"Note: {notice}" in lines
    assert f"Mended: {mended}." in lines


def test_nothing_to_do_is_one_line(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary.show_unchanged(finished, "")
    first = capsys.readouterr().out.split("\n")[0]
    assert first == (
        "Everything is up to date: 0 stages ran. models:/photos@champion has test accuracy 0.900 (0.800 to 0.950)."
    )


@pytest.mark.parametrize(("n_files", "ending"), [(1, "ant/0.jpg: It is cut off."), (5, "and 2 more in the report")])
def test_files_that_could_not_be_read_are_named(
    finished: Path, capsys: pytest.CaptureFixture[str], n_files: int, ending: str
) -> None:
    files = [{"path": f"ant/{index}.jpg", "problem": "It is cut off."} for index in range(n_files)]
    report = {"summary": "45 files.", "quarantined": files}
    write_json(finished / "artifacts/validate/report.json", report)
    text = shown(finished, capsys)
    assert "45 files. Left out: ant/0.jpg: It is cut off." in text
    assert ending in text

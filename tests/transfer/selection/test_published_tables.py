"""Weighted tau of published scores and accuracies, recomputed: the figures that can be trusted, each to 0.001."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from transfer.metrics.ranking import regret, weighted_tau
from transfer.selection.posterior import SLOPE, SPREAD
from transfer.selection.scores.etran import EnergyParts, etran
from transfer.selection.scores.prior import imagenet_top1

# Those of the 32 printed cells that their own rows reproduce, docs/selection.md.
TLLIB = {
    "CIFAR10": {"HScore": 0.800, "LEEP": 0.638, "LogME": 0.785, "NCE": 0.714},
    "StanfordCars": {"HScore": 0.638, "LEEP": 0.703, "LogME": 0.654, "NCE": 0.750},
    "SUN397": {"HScore": 0.918, "LEEP": 0.581, "LogME": 0.748, "NCE": 0.873},
    "Caltech101": {"HScore": 0.721, "LEEP": 0.127, "NCE": 0.810},
    "CIFAR100": {"HScore": 0.775, "LEEP": 0.659, "NCE": 0.654},
    "DTD": {"HScore": 0.416, "LEEP": -0.004},
}
CELLS = [(data, score, tau) for data, row in TLLIB.items() for score, tau in row.items()]
SFDA_MEANS = {"LEEP": 0.410, "LogME": 0.509, "NLEEP": 0.611, "PARC": 0.467, "SFDA": 0.710}
PED_MEANS = {
    "NLEEP": 0.365,
    "PARC": 0.314,
    "LogME": 0.358,
    "LogME+Ours": 0.627,
    "SFDA": 0.582,
    "SFDA+Ours": 0.628,
    "GBC": 0.151,
    "GBC+Ours": 0.407,
}
SLOPES = [1.15, 1.08, 0.93, 1.66, 1.17, 0.5, 0.7, 1.27, 0.99, 0.49, 0.65]
BESIDE = [0.27, 0.1, 0.3, 0.22, 0.17, 0.07, 0.17, 0.21, 0.12, 0.08, 0.08]
to_a_thousandth = partial(pytest.approx, abs=0.001)


@pytest.fixture
def table(shared: Path) -> Any:
    """Return what reads a table of the folder beside the project; skip where it is absent."""

    def read(name: str) -> Any:
        path = shared / "tables" / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"no published table at {path}")
        return json.loads(path.read_text())

    return read


def _columns(rows: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in rows.items() if name not in {"Pearson Corr", "Weighted Tau"}}


@pytest.mark.parametrize(("data", "score", "tau"), CELLS)
def test_a_cell_of_tllib_is_the_tau_of_its_rows(table: Any, data: str, score: str, tau: float) -> None:
    rows = table("tllib_model_selection")["tables"][data]
    assert rows["Weighted Tau"][score] == tau
    models = _columns(rows).values()
    found = weighted_tau([model[score] for model in models], [model["Finetuned Acc"] for model in models])
    assert found == to_a_thousandth(tau)


def test_no_other_cell_of_tllib_is(table: Any) -> None:
    """Twelve printed cells do not follow from their rows: none of them is a figure to be reproduced."""
    off = []
    for data, rows in table("tllib_model_selection")["tables"].items():
        models = _columns(rows).values()
        for score in ("HScore", "LEEP", "LogME", "NCE"):
            found = weighted_tau([model[score] for model in models], [model["Finetuned Acc"] for model in models])
            if abs(found - rows["Weighted Tau"][score]) > 0.001:
                off.append((data, score))
    assert len(CELLS) == 20
    assert len(off) == 12
    assert {(data, score) for data, score, _ in CELLS}.isdisjoint(off)


def test_etran_on_cifar100_is_the_published_tau(table: Any) -> None:
    scores = table("etran_cifar100_scores")["scores"]
    accuracies = table("finetune_ground_truth")["sfda_group1_supervised"]["acc"]["cifar100"]
    reached = list(accuracies.values())
    pool = [EnergyParts(scores["lda"][name], scores["energy"][name]) for name in accuracies]
    assert weighted_tau(etran(pool), reached) == to_a_thousandth(0.900)
    assert weighted_tau([parts.classification for parts in pool], reached) == to_a_thousandth(0.869)
    assert weighted_tau([parts.energy for parts in pool], reached) == to_a_thousandth(0.572)


@pytest.mark.parametrize(("score", "mean"), SFDA_MEANS.items())
def test_a_mean_of_sfdas_table_is_that_of_its_row(table: Any, score: str, mean: float) -> None:
    rows = {row[0]: row[1:] for row in table("sfda_weighted_kendall_supervised")["tables"][0]["rows"]}
    assert np.mean([float(cell.strip("*")) for cell in rows[score]]) == to_a_thousandth(mean)


@pytest.mark.parametrize(("score", "mean"), PED_MEANS.items())
def test_a_mean_of_peds_table_is_that_of_its_row(table: Any, score: str, mean: float) -> None:
    assert np.mean(list(table("ped_weighted_kendall_selfsup")["weighted_tau"][score].values())) == to_a_thousandth(mean)


def _without_one_data_set(accuracies: dict[str, dict[str, float]]) -> list[float]:
    """Return the tau on each data set of the mean rank that models have on all others."""
    reached = np.array([list(row.values()) for row in accuracies.values()])
    ranks = rankdata(reached, axis=1)
    return [
        weighted_tau(np.delete(ranks, place, 0).mean(0).tolist(), row.tolist()) for place, row in enumerate(reached)
    ]


@pytest.mark.parametrize(("group", "mean"), [("sfda_group1_supervised", 0.836), ("sfda_group2_selfsup", 0.685)])
def test_an_order_that_never_saw_the_target_sets_the_mark(table: Any, group: str, mean: float) -> None:
    accuracies = table("finetune_ground_truth")[group]["acc"]
    assert np.mean(_without_one_data_set(accuracies)) == to_a_thousandth(mean)


def test_the_static_prior_beats_most_published_scores(table: Any) -> None:
    accuracies = table("finetune_ground_truth")["sfda_group1_supervised"]["acc"]
    taus, regrets = [], []
    for reached in accuracies.values():
        prior = [imagenet_top1(f"torchvision/{name}@IMAGENET1K_V1") for name in reached]
        taus.append(weighted_tau(prior, list(reached.values())))
        regrets.append(regret(prior, list(reached.values())))
    assert np.mean(taus) == to_a_thousandth(0.654)
    assert sum(mean < np.mean(taus) for mean in SFDA_MEANS.values()) == 4
    assert np.mean(regrets) == pytest.approx(0.08, abs=0.005)  # resnet152 everywhere, percentage points


def test_accuracies_are_on_a_line_with_those_on_imagenet(table: Any) -> None:
    accuracies = table("finetune_ground_truth")["sfda_group1_supervised"]["acc"]
    slopes, beside = [], []
    for row in accuracies.values():
        known = _logit([imagenet_top1(f"torchvision/{name}@IMAGENET1K_V1") for name in row])
        found = _logit([*row.values()])
        slope, level = np.polyfit(known, found, 1)
        slopes.append(slope)
        beside.append(np.sqrt(np.mean((found - slope * known - level) ** 2)))
    assert [round(slope, 2) for slope in slopes] == SLOPES
    assert [round(rms, 2) for rms in beside] == BESIDE
    assert abs(np.mean(slopes) - SLOPE) < np.std(slopes) / np.sqrt(len(slopes))
    assert np.sqrt(np.mean(np.square(beside))) < SPREAD < max(beside)


def _logit(percents: list[float]) -> Any:
    shares = np.array(percents) / 100
    return np.log(shares / (1 - shares))

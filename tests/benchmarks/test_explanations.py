"""The table of planted cues: what was trained several times is one line, whose images are counted together."""

from benchmarks.explanations import table


def _run(seed: int, hits: int, n: int) -> dict[str, object]:
    about = {"network": "n", "background": "textures", "cues": "shapes", "seed": seed, "method": "grad-cam"}
    found = {"accuracy": 0.98, "n": n, "hits": hits, "beside_and_worth_more": 1, "random_hits": 0.1}
    return about | found | {"similarity": 0.0, "low": -0.1, "high": 0.1, "passed": True, "ms_an_image": 10.0}


def test_trainings_of_a_network_are_one_line() -> None:
    (line,) = table([_run(1, 40, 50), _run(0, 49, 50)]).splitlines()[2:]
    assert "| 89 of 100, 89 % (81 to 94; 98, 80) | 2 of 11 |" in line


def test_misses_that_were_not_looked_into_are_left_open() -> None:
    (line,) = table([_run(0, 49, 50) | {"beside_and_worth_more": None}]).splitlines()[2:]
    assert "| 49 of 50, 98 % (90 to 100) |  |" in line

"""Which answers are explained: the most confident mistakes, the pairs of classes behind them, and right answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from adapters.json_files import sha256_of
from adapters.manifest_file import SEALED, TEST
from adapters.tables import read_table
from transfer.errors import UserError
from transfer.records import Row

MOST_PAIRS, PICTURES_OF_A_PAIR = 10, 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said of a test image.

    Args:
        path: of the image, within the data set.
        actual: its class.
        predicted: the class it was said to be.
        probability: that the model gave the answer, in [0, 1].
    """

    path: str
    actual: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A class that is taken for another.

    Args:
        actual: the class.
        predicted: what it was taken for.
        answers: that did so, the most confident first.
        share: of the test images of the class, in (0, 1].
    """

    actual: str
    predicted: str
    answers: tuple[Answer, ...]
    share: float


def read_answers(path: Path) -> tuple[Answer, ...]:
    """Read the answers that `evaluate` wrote, the most confident first.

    Raises:
        UserError: the table is missing or lacks a column.
    """
    rows = read_table(path)
    try:
        found = [Answer(row["path"], row["actual"], row["predicted"], float(row["confidence"])) for row in rows]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); run `dvc checkout` or `dvc repro`.") from error
    return tuple(sorted(found, key=lambda answer: (-answer.probability, answer.path)))


def confused_pairs(answers: Sequence[Answer]) -> tuple[Pair, ...]:
    """Return the pairs of classes that are confused most often, at most ten.

    Args:
        answers: the most confident first.
    """
    n_of_class = Counter(answer.actual for answer in answers)
    of_pair: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        if answer.actual != answer.predicted:
            of_pair.setdefault((answer.actual, answer.predicted), []).append(answer)
    pairs = [Pair(*names, tuple(wrong), len(wrong) / n_of_class[names[0]]) for names, wrong in of_pair.items()]
    pairs.sort(key=lambda pair: (-len(pair.answers), -pair.share, pair.actual, pair.predicted))
    return tuple(pairs[:MOST_PAIRS])


def confident_errors(answers: Sequence[Answer], n_answers: int) -> tuple[Answer, ...]:
    """Return the wrong answers that the model was the most sure of.

    Args:
        answers: the most confident first.
        n_answers: at most.
    """
    return tuple(answer for answer in answers if answer.actual != answer.predicted)[:n_answers]


def right_answers(answers: Sequence[Answer], n_answers: int) -> tuple[Answer, ...]:
    """Return right answers, of every class its most confident one, then the next of each.

    Args:
        answers: the most confident first.
        n_answers: at most.
    """
    of_class: dict[str, list[Answer]] = {}
    for answer in answers:
        if answer.actual == answer.predicted:
            of_class.setdefault(answer.actual, []).append(answer)
    in_turn = chain.from_iterable(zip_longest(*(of_class[name] for name in sorted(of_class))))
    return tuple(answer for answer in in_turn if answer is not None)[:n_answers]


def rows_of(answers: Sequence[Answer], data_path: str) -> tuple[Row, ...]:
    """Return what reads the images of answers: their labels stay sealed, being none of this stage's business.

    Args:
        answers: any.
        data_path: the data set's folder.

    Raises:
        UserError: an image is gone.
    """
    return tuple(Row(answer.path, SEALED, TEST, _digest(Path(data_path, answer.path))) for answer in answers)


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); put it back or run `dvc repro`.") from error

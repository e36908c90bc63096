"""The review: moved images are named, the page holds all it shows, labels of test images play no part."""

import csv
import json
import re
import shutil
from html import unescape
from pathlib import Path

import pytest

from adapters.json_files import sha256_of, write_json
from adapters.kept_labels import keep_labels
from adapters.manifest_file import MANIFEST, QUARANTINE, read_manifest
from adapters.review_page import Case, write_page
from adapters.review_table import Suspect
from flows.select import rank_all
from tasks import manifest, review
from tasks.handoffs import RANKING, REVIEW_PAGE, REVIEW_TABLE
from tasks.params import read_params
from transfer.errors import UserError
from transfer.records import Row

HOSTILE = "</script><script>window.ran = 1</script>&\"'"


@pytest.fixture
def mislabelled(ranked: Path) -> tuple[Path, set[str]]:
    """Make a ranked project in which training images of one class lie in the folder of another."""
    rows = [row for row in read_manifest().rows if row.split == "train" and "/" in row.path]
    moved = [next(row.path for row in rows if row.path.startswith(name)) for name in ("bars", "rings")]
    new = []
    for path in moved:
        target = f"{'rings' if path.startswith('bars') else 'bars'}/moved-{Path(path).name}"
        shutil.move(Path("data/digits") / path, Path("data/digits") / target)
        new.append(target)
    manifest.describe()
    write_json(QUARANTINE, {"paths": []}, {"manifest": MANIFEST})
    rank_all()
    return ranked, set(new)


def test_moved_images_are_named_and_shown(
    mislabelled: tuple[Path, set[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    review.review(100)
    told = capsys.readouterr().out.splitlines()[-1]
    with REVIEW_TABLE.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["path"] for row in rows} == mislabelled[1]
    assert {(row["given"], row["suggested"]) for row in rows} == {("bars", "rings"), ("rings", "bars")}
    assert told.startswith(f"2 labels look wrong, of {_n_judged()} training and validation images: decide on them in")
    page = REVIEW_PAGE.read_text(encoding="utf-8")
    for row in rows:
        assert row["path"] in page
    assert page.count("data:image/jpeg;base64,") == 2 * (1 + 2 * 3)
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def _n_judged() -> int:
    return sum(row.split != "test" for row in read_manifest().rows)


def test_labels_of_test_images_play_no_part(mislabelled: tuple[Path, set[str]]) -> None:
    found = review.judged(read_params(), read_manifest())
    assert {row.split for row in found.rows} == {"train", "val"}
    assert len(found.rows) == _n_judged()


def test_the_page_shows_no_more_than_asked_for_and_the_table_all(mislabelled: tuple[Path, set[str]]) -> None:
    review.review(1)
    assert REVIEW_PAGE.read_text(encoding="utf-8").count("<article") == 1
    assert "1 more stand" in REVIEW_PAGE.read_text(encoding="utf-8")
    assert len(REVIEW_TABLE.read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize("change", ["decided", "damaged", "none"])
def test_what_somebody_wrote_into_the_table_is_kept(
    mislabelled: tuple[Path, set[str]], capsys: pytest.CaptureFixture[str], change: str
) -> None:
    review.review(1)
    text = REVIEW_TABLE.read_text(encoding="utf-8")
    written = {"decided": text.replace(",,", ",keep,", 1), "damaged": text.replace("path", "file", 1), "none": text}
    REVIEW_TABLE.write_text(written[change], encoding="utf-8")
    capsys.readouterr()
    review.review(2)
    aside = REVIEW_TABLE.with_name("labels-1.csv")
    assert REVIEW_TABLE.read_text(encoding="utf-8") == text
    assert aside.exists() is (change != "none")
    if change != "none":
        assert aside.read_text(encoding="utf-8") == written[change]
        told = f"What was written into {REVIEW_TABLE} before is in {aside} now. 2 labels look wrong"
        assert told in " ".join(capsys.readouterr().out.split())


def test_what_was_kept_is_not_named_again(
    mislabelled: tuple[Path, set[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    project, moved = mislabelled
    first, other = sorted(moved)
    digests = [sha256_of(Path("data/digits") / path) for path in (first, other)]
    keep_labels(project, [(digests[0], first.partition("/")[0]), (digests[1], "another class")])
    capsys.readouterr()
    review.review(9)
    told = " ".join(capsys.readouterr().out.split())
    assert told.endswith("the page saves. 1 that had been kept before is not named again.")
    assert [line.partition(",")[0] for line in REVIEW_TABLE.read_text().splitlines()[1:]] == [other]


def test_an_image_that_changed_since_the_manifest_is_refused(mislabelled: tuple[Path, set[str]]) -> None:
    name = min(mislabelled[1])
    (Path("data/digits") / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"has changed since the manifest was made"):
        review.review(100)


def test_before_anything_was_ranked_there_is_nothing_to_review_by(ranked: Path) -> None:
    RANKING.unlink()
    with pytest.raises(UserError, match=r"ranking\.json is missing; run the stage that writes it"):
        review.review(100)


@pytest.mark.parametrize("most", [7, 10, 100])
def test_parts_hold_every_row_once_and_each_class_evenly(most: int) -> None:
    rows = [Row(f"{place}.png", place % 3, "train", f"{place * 7919 % 60:064x}") for place in range(60)]
    found = list(review.parts(rows, most))
    assert sorted(place for part in found for place in part) == list(range(60))
    assert max(map(len, found)) <= most
    for label in range(3):
        counts = [sum(rows[place].label == label for place in part) for part in found]
        assert max(counts) - min(counts) <= 1


def test_hostile_names_stay_text(tmp_path: Path, root: Path) -> None:
    from PIL import Image

    image = tmp_path / "photos" / HOSTILE
    image.parent.mkdir(parents=True)
    Image.new("RGB", (300, 3)).save(image, "PNG")
    row = Row(HOSTILE, 0, "train", sha256_of(image))
    suspect = Suspect(HOSTILE, "a" * 64, HOSTILE, "b", 0.999)
    content = {
        "data_path": HOSTILE,
        "classes": [HOSTILE, "b", "c"],
        "n_judged": 9,
        "n_named": 1,
        "n_expected": 1,
        "can_tell": True,
    }
    page = tmp_path / "index.html"
    case = Case(suspect, row, [("b", [row])])
    write_page(page, {**content, "accuracy": 0.5}, [suspect], [case], tmp_path / "photos")
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script>") == 2
    assert HOSTILE not in text
    assert HOSTILE in unescape(text)
    plain = re.search(r'<script type="application/json" id="rows">(.*?)</script>', text, re.DOTALL)
    assert plain is not None
    assert json.loads(plain[1])["rows"][0][:2] == [HOSTILE, HOSTILE]
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", text)

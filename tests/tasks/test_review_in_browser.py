"""The review in a real browser: it fits every width, asks for nothing, runs its own script alone and saves a table."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from adapters.json_files import sha256_of
from adapters.review_page import Case, write_page
from adapters.review_table import Decision, Suspect, read_table
from tests.tasks.test_report_in_browser import (
    BROWSER,
    DESKTOP_PX,
    OWN,
    PHONE_PX,
    QUIET,
    SMALLEST_PHONE_PX,
    seen,
)
from transfer.records import Row

HOSTILE = '"</script><script>window.ran = 1</script>,&amp; \u05d0 a_name_without_a_place_to_break_it_at_all_' + "x" * 60
CLASSES = [HOSTILE, "b", "c"]
# The buttons of the framed page are pressed, and what it would save is read, by the page around it.
DRIVER = """<!doctype html><iframe id="page" src="{url}" width="900" height="900"></iframe><pre id="found"></pre>
<script>
const frame = document.getElementById('page');
let reloaded = false;
frame.onload = async () => {{
  const inner = frame.contentWindow, page = inner.document;
  if (!reloaded) {{
    inner.localStorage.clear();
    reloaded = true;
    inner.location.reload();
    return;
  }}
  frame.onload = null;
  const press = (place, n) => page.querySelectorAll(`fieldset[data-place="${{place}}"] input[type=radio]`)[n].click();
  press(0, 0); press(1, 1); press(3, 3);
  const other = page.querySelector('fieldset[data-place="2"] input[type=text]');
  other.value = 'c';
  other.dispatchEvent(new inner.Event('input', {{bubbles: true}}));
  let blob = null;
  inner.URL.createObjectURL = saved => {{ blob = saved; return 'data:,'; }};
  page.getElementById('save').click();
  const text = await blob.text(), count = page.getElementById('count').textContent;
  frame.onload = () => {{
    const again = frame.contentDocument.getElementById('count').textContent;
    document.getElementById('found').textContent = JSON.stringify({{text, count, again}});
  }};
  inner.location.reload();
}};
</script>"""

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine; install the package chromium"),
]


def _suspect(place: int) -> Suspect:
    return Suspect(f"{HOSTILE}/{place}.png", f"{place:064x}", HOSTILE, "b", 0.9)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    Image.new("RGB", (640, 200), "teal").save(tmp_path / "x.png")
    suspects = [_suspect(place) for place in range(6)]
    row = Row("x.png", 0, "train", sha256_of(tmp_path / "x.png"))
    cases = [Case(one, row, [("b", [row] * 3), (HOSTILE, [row] * 3)]) for one in suspects[:5]]
    content = {
        "data_path": f"data/{HOSTILE}",
        "classes": CLASSES,
        "n_judged": 60,
        "n_named": 6,
        "n_expected": 5,
        "can_tell": True,
    }
    path = tmp_path / "review" / "index.html"
    write_page(path, {**content, "accuracy": 0.9}, suspects, cases, tmp_path)
    return path


@pytest.mark.parametrize("width_px", [SMALLEST_PHONE_PX, PHONE_PX, DESKTOP_PX])
def test_it_fits_and_asks_for_nothing(page: Path, tmp_path: Path, width_px: int) -> None:
    at = seen(page, tmp_path, width_px)
    assert (at.found["width"], at.found["scroll"], at.found["wide"]) == (width_px, width_px, [])
    assert (at.found["ran"], at.found["scripts"]) == (None, 2)
    assert [name for name in at.found["asked"] if not name.startswith("data:")] == []
    assert [address for address in at.asked if not OWN.match(address)] == []
    assert len(at.found["images"]) == 5 * 7
    assert min(at.found["images"]) > 0


def test_another_script_does_not_run(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("</main>", "<script>window.ran = 1</script></main>"), encoding="utf-8")
    at = seen(page, tmp_path, DESKTOP_PX)
    assert (at.found["ran"], at.found["scripts"]) == (None, 3)


def test_what_is_pressed_is_saved_and_kept(page: Path, tmp_path: Path) -> None:
    outer, profile = tmp_path / "outer.html", tmp_path / "profile"
    outer.write_text(DRIVER.format(url=page.as_uri()), encoding="utf-8")
    command = [str(BROWSER), *QUIET, f"--user-data-dir={profile}", "--dump-dom", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    shutil.rmtree(profile, ignore_errors=True)
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told is not None
    found = json.loads(unescape(told[1]))
    assert (found["count"], found["again"]) == ("4 of 6 decided", "4 of 6 decided")
    saved = tmp_path / "labels.csv"
    saved.write_text(found["text"], encoding="utf-8")

    def decided(line: int, place: int, new_class: str | None) -> Decision:
        one = _suspect(place)
        return Decision(line, one.path, one.sha256, one.given, new_class)

    assert read_table(saved) == (decided(3, 1, "b"), decided(4, 2, "c"), decided(5, 3, None))
    assert len(found["text"].splitlines()) == 7

"""The report in a real browser: no width overflows, nothing is asked for, nothing of a data set runs."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from adapters.page import POLICY
from tasks.handoffs import REPORT_PAGE
from tasks.report import write
from tests.tasks.left_records import leave_records
from tests.tasks.test_report import HOSTILE, leave_explanations

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--virtual-time-budget=15000", "--allow-file-access-from-files",
)  # fmt: skip
PHONE_PX, SMALLEST_PHONE_PX, DESKTOP_PX = 375, 320, 1440
SMALLEST_PICTURE_BYTES = 50_000
OWN = re.compile(
    r"^(file|data|chrome|chrome-extension|devtools):|^https?://[^/]*(google|gstatic|gvt1)[^/]*/"
)  # the browser's
MANY = (*HOSTILE, *(f"a class with a rather long name, number {index:03}" for index in range(30)))
# The page stands in a frame as wide as the device: its own policy lets no script of a test run within it.
OUTER = """<!doctype html><style>body {{ margin: 0 }} iframe {{ border: 0; display: block }}</style>
<iframe id="page" src="{url}" width="{width}" height="{height}"></iframe><pre id="found"></pre>
<script>
const frame = document.getElementById('page');
frame.onload = () => {{
  const inner = frame.contentWindow, page = inner.document, root = page.documentElement;
  const boxed = '.scroll, .matrix-box';
  const wide = [...page.querySelectorAll('body *')].filter(
    one => !one.parentElement.closest(boxed) && one.getBoundingClientRect().right > inner.innerWidth + 1);
  const svgs = [...page.querySelectorAll('svg.plot, svg.matrix')];
  const clipped = svgs.flatMap(svg => [...svg.querySelectorAll('text')].filter(text => {{
    const a = text.getBoundingClientRect(), b = svg.getBoundingClientRect();
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
  }})).map(text => text.textContent);
  document.getElementById('found').textContent = JSON.stringify({{
    width: inner.innerWidth, scroll: root.scrollWidth, height: root.scrollHeight,
    wide: wide.slice(0, 5).map(one => one.tagName + ' ' + one.className + ' ' + one.textContent.slice(0, 60)),
    clipped: clipped, ran: inner.ran || null,
    asked: inner.performance.getEntriesByType('resource').map(one => one.name),
    named: [...page.querySelectorAll('td.named')].map(one => one.getBoundingClientRect().width),
    scripts: page.scripts.length, images: [...page.images].map(one => one.naturalWidth),
  }});
}};
</script>"""

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine; install the package chromium"),
]


@dataclass(frozen=True)
class Seen:
    """What a browser made of the page at a width.

    Args:
        found: what the outer page measured.
        asked: addresses that the browser's log of the network holds.
    """

    found: dict[str, Any]
    asked: list[str]


@pytest.fixture
def report(project: Path) -> Path:
    leave_records(MANY)
    leave_explanations()
    write()
    return project / REPORT_PAGE


def seen(page: Path, folder: Path, width_px: int, *more: str, height_px: int = 900) -> Seen:
    outer, log = folder / "outer.html", folder / "net.json"
    outer.write_text(OUTER.format(url=page.as_uri(), width=width_px, height=height_px), encoding="utf-8")
    profile = folder / "profile"
    command = [str(BROWSER), *QUIET, f"--log-net-log={log}", f"--user-data-dir={profile}", *more]
    size = f"--window-size={max(width_px, 600)},{height_px}"
    done = subprocess.run(
        [*command, size, "--dump-dom", outer.as_uri()], capture_output=True, text=True, timeout=180, check=True
    )
    shutil.rmtree(profile, ignore_errors=True)
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told is not None
    asked = re.findall(r'"url":"([a-z]+://[^"]*)"', log.read_text(encoding="utf-8", errors="replace"))
    return Seen(json.loads(unescape(told[1])), asked)


@pytest.mark.parametrize("width_px", [SMALLEST_PHONE_PX, PHONE_PX, DESKTOP_PX])
def test_nothing_overflows(report: Path, tmp_path: Path, width_px: int) -> None:
    found = seen(report, tmp_path, width_px).found
    assert found["width"] == width_px
    assert (found["scroll"], found["wide"], found["clipped"]) == (width_px, [], [])


def test_nothing_runs_and_nothing_is_asked_for(report: Path, tmp_path: Path) -> None:
    at = seen(report, tmp_path, DESKTOP_PX)
    assert (at.found["ran"], at.found["scripts"]) == (None, 0)
    assert [name for name in at.found["asked"] if not name.startswith("data:")] == []
    assert [address for address in at.asked if not OWN.match(address)] == []
    assert len(at.found["images"]) > 0
    assert min(at.found["images"]) > 0


def test_the_policy_stops_what_escaping_would_have_let_through(report: Path, tmp_path: Path) -> None:
    """Were a name ever put into the page as it is, the policy would still keep it from running and from asking."""
    smuggled = '<script>window.ran = 1</script><img src="http://127.0.0.1:9/x.png" onerror="window.ran = 2"></main>'
    text = report.read_text(encoding="utf-8").replace("</main>", smuggled)
    report.write_text(text.replace(POLICY, ""), encoding="utf-8")
    without = seen(report, tmp_path, DESKTOP_PX)
    assert without.found["ran"] is not None
    assert [address for address in without.asked if not OWN.match(address)] != []
    report.write_text(text, encoding="utf-8")
    at = seen(report, tmp_path, DESKTOP_PX)
    assert (at.found["scripts"], at.found["ran"]) == (1, None)
    assert [address for address in at.asked if not OWN.match(address)] == []


def test_it_can_be_photographed_and_printed(report: Path, tmp_path: Path) -> None:
    named = os.environ.get("ROOTSTOCK_SCREENSHOTS")
    pictures = Path(named) if named else tmp_path / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, width_px in (("desktop", DESKTOP_PX), ("phone", PHONE_PX)):
        height_px = seen(report, tmp_path, width_px).found["height"]
        outer = tmp_path / "outer.html"
        outer.write_text(OUTER.format(url=report.as_uri(), width=width_px, height=height_px), encoding="utf-8")
        size = f"--window-size={width_px},{height_px}"
        target = pictures / f"report-{name}.png"
        _run(f"--screenshot={target}", size, outer.as_uri(), profile=tmp_path / "profile")
        assert target.stat().st_size > SMALLEST_PICTURE_BYTES
    printed = pictures / "report.pdf"
    _run(f"--print-to-pdf={printed}", "--no-pdf-header-footer", report.as_uri(), profile=tmp_path / "profile")
    assert printed.read_bytes().startswith(b"%PDF")


def _run(*arguments: str, profile: Path) -> None:
    command = [str(BROWSER), *QUIET, f"--user-data-dir={profile}", *arguments]
    subprocess.run(command, capture_output=True, timeout=180, check=True)
    shutil.rmtree(profile, ignore_errors=True)

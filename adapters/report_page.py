"""Draw the validation report as one HTML page that needs nothing but itself, and as a table for Prefect."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from adapters.json_files import write_text
from adapters.page import ENDING, OPENING, render
from adapters.picture_data import thumbnail

_THUMBNAIL_PX = 112
_FARTHEST = 0.97  # of a bar: what lies beyond its end is drawn there
_STYLE = """
body { overflow-wrap: anywhere; } code { unicode-bidi: isolate; white-space: pre-wrap; }
.check { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--line);
  border-radius: .75rem; padding: .9rem 1.1rem; margin: .75rem 0; }
.check.bad-edge { border-left-color: var(--bad); } .check.warn-edge { border-left-color: var(--warn); }
.check h3 { font-size: 1rem; margin: 0; display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: baseline; }
.check code.name { color: var(--soft); font-weight: 400; }
.quiet { background: var(--line); color: var(--ink); }
.shots { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .75rem; margin-top: .75rem; }
.shots figure { margin: 0; min-width: 0; } .shots figcaption { font-size: .78rem; line-height: 1.35;
  margin-top: .25rem; } .shots .soft { display: block; }
.check li code { background: var(--line); border-radius: .2rem; padding: .05rem 0; } /* so that a blank is seen */
.shots img { display: block; width: 100%; height: 7rem; object-fit: contain; background: var(--paper);
  border: 1px solid var(--line); border-radius: .4rem; image-rendering: auto; }
.drift { position: relative; height: .55rem; min-width: 7rem; margin-top: .5rem; border-radius: 99px;
  background: var(--line); overflow: hidden; }
.drift i { position: absolute; top: 0; bottom: 0; min-width: 3px; background: var(--bar); }
.drift i.moved { background: var(--warn); }
td .soft { font-size: .85rem; } .whole { overflow-wrap: normal; } .named { min-width: 9rem; }
@media (max-width: 40rem) { main { padding: 1.4rem .9rem 3rem; } h1 { font-size: 1.35rem; }
  th, td { padding: .45rem .55rem; } .shots { grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
"""
_PAGE = """<main>
<h1>Validation of <code>{{ data_path }}</code></h1>
<p class="soft">{{ checks | length }} expectations were checked on the manifest;
errors stop the run, warnings do not.</p>
<p class="banner {{ 'bad' if n_errors else 'warn' if n_warnings else 'good' }}">{{ headline }}</p>
<div class="tiles">
{% for label, value in tiles %}<div class="tile"><b>{{ value }}</b><span class="soft">{{ label }}</span></div>
{% endfor %}</div>

{% if unmet %}<h2>Not as expected</h2>
{% for check in unmet %}<section class="check {{ check.kind }}-edge">
<h3><span class="badge {{ check.kind }}">{{ check.severity }}</span> Expected: {{ check.says }}</h3>
<p>{{ check.found }} <code class="name">{{ check.name }}</code></p>
<p class="soft">What to do: {{ check.remedy }}</p>
{% if check.shots %}<div class="shots">{% for shot in check.shots %}<figure><img src="{{ shot.image }}" alt="">
<figcaption><code>{{ shot.row }}</code>{% if shot.value %}
<span class="soft">{{ check.unit }} {{ shot.value }}</span>{% endif %}</figcaption></figure>
{% endfor %}</div>{% endif %}
{% if check.listed %}<ul>{% for example in check.listed %}<li><code>{{ example.row }}</code>
{% if example.value and example.value != example.row %}
<span class="soft">{{ check.column }} is {{ example.value }}</span>{% endif %}</li>{% endfor %}</ul>{% endif %}
{% if check.n_more > 0 %}<p class="soft">and {{ check.n_more }} more</p>{% endif %}
</section>
{% endfor %}{% endif %}

{% if drift %}<h2>Since the earlier version</h2>
<p class="soft">{{ drift.n_images }} readable images then, {{ counts.n_readable }} now. The population stability index
of each column, with its interval: 0 where nothing moved, below 0.1 little, above 0.25 much.</p>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>Column</th><th class="number">Index</th><th class="share">Interval, from 0 to {{ scale }}</th>
<th>What moved most</th><th class="number">Then</th><th class="number">Now</th></tr></thead><tbody>
{% for one in moved %}<tr><td class="whole">{{ one.says }}
{% if not one.passed %}<span class="badge {{ 'bad' if one.severity == 'error' else 'warn' }}">moved</span>{% endif %}
</td><td class="number">{{ one.index }}</td>
<td class="share"><div class="drift" role="img" aria-label="{{ one.range }}">
<i class="{{ '' if one.passed else 'moved' }}" style="left: {{ one.left }}%; width: {{ one.width }}%"></i></div></td>
<td class="named"><code>{{ one.most }}</code></td>
<td class="number">{{ one.before }}</td><td class="number">{{ one.now }}</td></tr>
{% endfor %}</tbody></table></div>{% endif %}

<h2>Classes and splits</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>Class</th><th class="share"></th><th class="number">Readable</th>{% for split in splits %}
<th class="number">{{ split }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in classes %}<tr><td class="named"><code>{{ row.class_name }}</code></td>
<td class="share"><div class="bar" style="width: {{ (100 * row.n_images / largest) | round(1) }}%"></div></td>
<td class="number">{{ row.n_images }}</td>
{% for split in splits %}<td class="number">{{ row['n_' ~ split] }}</td>{% endfor %}</tr>
{% endfor %}<tr><td><b>All</b></td><td></td>
<td class="number"><b>{{ counts.n_readable }}</b></td>{% for split in splits %}
<td class="number"><b>{{ counts['n_' ~ split] }}</b></td>{% endfor %}</tr>
</tbody></table></div>

<h2>Quarantine</h2>
{% if quarantined %}<p class="soft">No later stage uses these files.</p>
<div class="scroll" tabindex="0"><table><thead><tr><th>File</th><th>Why</th></tr></thead><tbody>
{% for file in quarantined %}<tr><td><code>{{ file.path }}</code></td><td>{{ file.problem }}</td></tr>
{% endfor %}</tbody></table></div>{% else %}<p class="soft">Every file could be read.</p>{% endif %}
{% if ignored %}<h2>Ignored files</h2>
<p class="soft">Other kinds of files in the folder, in no row:
{% for suffix, count in ignored.items() %}{{ count }} {{ suffix or 'without extension' }}
{{ '' if loop.last else ', ' }}{% endfor %}.</p>
{% endif %}

<h2>What holds</h2>
<div class="scroll" tabindex="0"><table>
<thead><tr><th>Expectation</th><th class="number">Checked</th><th class="number">Not so</th></tr></thead>
<tbody>
{% for check in met %}<tr><td>{{ check.says }} <code class="soft">{{ check.name }}</code></td>
<td class="number">{{ check.n_checked }}</td><td class="number">{{ check.n_unexpected }}</td></tr>
{% endfor %}</tbody></table></div>
</main>
"""


def write_page(path: Path, report: Mapping[str, Any], data_folder: Path, sha256_of: Mapping[str, str]) -> None:
    """Write the page atomically; every value from the data set is escaped.

    Args:
        path: the HTML file.
        report: the payload of report.json.
        data_folder: where the images lie that the page shows; those that are not there are named only.
        sha256_of: path of an image -> hex digest of its bytes.
    """
    counts = report["counts"]
    tiles = [
        ("files", counts["n_files"]),
        ("readable", counts["n_readable"]),
        ("quarantined", counts["n_quarantined"]),
        ("classes", counts["n_classes"]),
        *((split, counts[f"n_{split}"]) for split in report["splits"]),
    ]
    largest = max((row["n_images"] for row in report["classes"]), default=0) or 1
    ranks = {"error": 0, "warning": 1, "info": 2}
    unmet = sorted(_unmet(report), key=lambda check: ranks[check["severity"]])
    show = cache(lambda row: _shot(data_folder, row, sha256_of.get(row, "")))
    values = {
        **report,
        **_moved(report["drift"]),
        "title": f"Validation of {report['data_path']}",
        "tiles": tiles,
        "largest": largest,
        "headline": headline(report),
        "unmet": [_shown(check, show) for check in unmet],
        "met": [check for check in report["checks"] if check["passed"]],
    }
    write_text(path, render(OPENING + _PAGE + ENDING, values, _STYLE))


def headline(report: Mapping[str, Any]) -> str:
    """Say in a few words what the check came to."""
    errors, warnings = _number(report["n_errors"], "error"), _number(report["n_warnings"], "warning")
    if report["n_errors"]:
        return f"The run is stopped: {errors}, {warnings}."
    return f"The data can be used, with {warnings}." if report["n_warnings"] else "The data are as expected."


def amount(check: Mapping[str, Any]) -> str:
    """Return how much of a table is not as expected, or what was found of all of it.

    Args:
        check: an entry of the report's `checks`.
    """
    return check["observed"] or f"{check['n_unexpected']} of {check['n_checked']} do not fit"


def as_markdown(report: Mapping[str, Any]) -> str:
    """Return what the check came to as a table for Prefect."""
    lines = [f"**{headline(report)}** {_cell(report['summary'])}", ""]
    unmet = _unmet(report)
    if unmet:
        lines += ["| severity | expected | found | what to do |", "|---|---|---|---|"]
        for check in unmet:
            named = ", ".join(f"`{_cell(one['row'])}`" for one in check["examples"][:3])
            found = _found(check) + (f" {named}" if named else "")
            lines.append(f"| {check['severity']} | {_cell(check['says'])} | {found} | {_cell(check['remedy'])} |")
    return "\n".join(lines) + "\n"


def _unmet(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [check for check in report["checks"] if not check["passed"]]


def _shown(check: Mapping[str, Any], show: Any) -> dict[str, Any]:
    """Return what the page says of an expectation that is not met: its images where looking tells more than names."""
    kinds = {"error": "bad", "warning": "warn", "info": "quiet"}
    # Digests tell nobody anything: copies stand side by side.
    told = [{**one, "value": "" if check["column"] == "sha256" else one["value"]} for one in check["examples"]]
    pictures = [{**one, "image": show(one["row"])} for one in told] if check["shown"] else []
    shots = [one for one in pictures if one["image"]]
    examples = told
    listed = [] if shots else examples
    n_more = check["n_unexpected"] - len(shots or examples) if examples else 0
    return {
        **check, "kind": kinds[check["severity"]], "found": f"{_found(check)}.", "shots": shots, "listed": listed,
        "n_more": n_more, "unit": check["column"].removesuffix("_name").removesuffix("_px").replace("_", " "),
    }  # fmt: skip


def _shot(folder: Path, row: str, sha256: str) -> str | None:
    path = folder / row
    return thumbnail(path, sha256, _THUMBNAIL_PX) if path.resolve().is_relative_to(folder.resolve()) else None


def _found(check: Mapping[str, Any]) -> str:
    text = amount(check)
    return _cell(text[0].upper() + text[1:])


def _moved(drift: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the rows of the table of drift, on a common scale that ends where little is told beyond it."""
    columns = drift["columns"] if drift else []
    scale = max([0.25, *(min(1.0, one["high"]) for one in columns)])
    rows = [
        {
            **one, "index": f"{one['index']:.3f}", "before": f"{one['before']:.1%}", "now": f"{one['now']:.1%}",
            "range": f"{one['low']:.3f} to {one['high']:.3f}",
            "left": round(100 * min(_FARTHEST, one["low"] / scale), 1),
            "width": round(100 * (min(1.0, one["high"] / scale) - min(_FARTHEST, one["low"] / scale)), 1),
        }
        for one in columns
    ]  # fmt: skip
    return {"moved": rows, "scale": f"{scale:.2g}"}


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").replace("`", "'").split())


def _number(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"

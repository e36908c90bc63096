"""Draw the validation report as one HTML page that needs nothing but itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.json_files import write_text

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60656c; --paper: #fcfcfd; --card: #fff; --line: #e3e5e9;
  --good: #18794e; --good-bg: #e6f6ec; --bad: #b42318; --bad-bg: #fdecea; --warn: #915b00; --warn-bg: #fff3d6;
  --bar: #5b7fb9; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #a3a9b1; --paper: #111214; --card: #191b1e;
  --line: #2d3035; --good: #5fd097; --good-bg: #12301f; --bad: #ff9a8d; --bad-bg: #3d1613; --warn: #f5c14d;
  --warn-bg: #352606; --bar: #7d9fd6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); } code { font: .88em ui-monospace, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
.banner { border-radius: .75rem; padding: 1rem 1.25rem; margin: 1.25rem 0; font-weight: 600; }
.good { background: var(--good-bg); color: var(--good); } .bad { background: var(--bad-bg); color: var(--bad); }
.warn { background: var(--warn-bg); color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .75rem; }
.tile, .scroll { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
.tile { padding: .8rem 1rem; } .tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .55rem .9rem; vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; white-space: nowrap; }
tr + tr > td, thead + tbody > tr > td { border-top: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.badge { display: inline-block; border-radius: 99px; padding: .05rem .6rem; font-size: .82rem;
  font-weight: 600; white-space: nowrap; }
.share { width: 30%; min-width: 7rem; }
.bar { height: .55rem; margin-top: .5rem; border-radius: 99px; background: var(--bar);
  min-width: 2px; }
ul { margin: .35rem 0 0; padding-left: 1.1rem; } li { margin: .1rem 0; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Validation of {{ data_path }}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<h1>Validation of <code>{{ data_path }}</code></h1>
<p class="soft">{{ checks | length }} expectations were checked on the manifest;
critical ones stop the run, warnings do not.</p>
<p class="banner {{ 'bad' if n_critical else 'warn' if n_warnings else 'good' }}">{{ summary }}</p>
<div class="tiles">
{% for label, value in tiles %}<div class="tile"><b>{{ value }}</b><span class="soft">{{ label }}</span></div>
{% endfor %}</div>

<h2>What was checked</h2>
<div class="scroll"><table>
<thead><tr><th>Result</th><th>Expectation</th>
<th class="number">Checked</th><th class="number">Not as expected</th></tr></thead>
<tbody>
{% for check in checks %}{% set kind = 'good' if check.passed else 'bad' if check.severity == 'critical' else 'warn' %}
<tr><td><span class="badge {{ kind }}">{{ 'passed' if check.passed else check.severity }}</span></td>
<td>{{ check.says }}{% if check.n_unexpected %}
{% if not check.passed %}<p class="soft">What to do: {{ check.remedy }}</p>{% endif %}
<ul>{% for example in check.examples %}<li><code>{{ example.row }}</code>
{% if example.value %}<span class="soft">{{ check.column }} is {{ example.value }}</span>{% endif %}</li>{% endfor %}
{% if check.n_unexpected > check.examples | length %}
<li class="soft">and {{ check.n_unexpected - check.examples | length }} more</li>{% endif %}</ul>{% endif %}</td>
<td class="number">{{ check.n_checked }}</td><td class="number">{{ check.n_unexpected }}</td></tr>
{% endfor %}</tbody></table></div>

<h2>Classes and splits</h2>
<div class="scroll"><table>
<thead><tr><th>Class</th><th class="share"></th><th class="number">Readable</th>{% for split in splits %}
<th class="number">{{ split }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in classes %}<tr><td>{{ row.class_name }}</td>
<td class="share"><div class="bar" style="width: {{ (100 * row.n_images / largest) | round(1) }}%"></div></td>
<td class="number">{{ row.n_images }}</td>
{% for split in splits %}<td class="number">{{ row['n_' ~ split] }}</td>{% endfor %}</tr>
{% endfor %}<tr><td><b>All</b></td><td></td>
<td class="number"><b>{{ counts.n_readable }}</b></td>{% for split in splits %}
<td class="number"><b>{{ counts['n_' ~ split] }}</b></td>{% endfor %}</tr>
</tbody></table></div>

<h2>Quarantine</h2>
{% if quarantined %}<p class="soft">No later stage uses these files.</p>
<div class="scroll"><table><thead><tr><th>File</th><th>Why</th></tr></thead><tbody>
{% for file in quarantined %}<tr><td><code>{{ file.path }}</code></td><td>{{ file.problem }}</td></tr>
{% endfor %}</tbody></table></div>{% else %}<p class="soft">Every file could be read.</p>{% endif %}
{% if ignored %}<h2>Ignored files</h2>
<p class="soft">Other kinds of files in the folder, in no row:
{% for suffix, count in ignored.items() %}{{ count }} {{ suffix or 'without extension' }}
{{ '' if loop.last else ', ' }}{% endfor %}.</p>
{% endif %}
</main>
</body>
</html>
"""


def write_page(path: Path, report: Mapping[str, Any]) -> None:
    """Write the page atomically; every value from the data set is escaped.

    Args:
        path: the HTML file.
        report: the payload of report.json.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    counts = report["counts"]
    tiles = [
        ("files", counts["n_files"]),
        ("readable", counts["n_readable"]),
        ("quarantined", counts["n_quarantined"]),
        ("classes", counts["n_classes"]),
        *((split, counts[f"n_{split}"]) for split in report["splits"]),
    ]
    largest = max((row["n_images"] for row in report["classes"]), default=0) or 1
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(_PAGE)
    write_text(path, template.render(report, tiles=tiles, largest=largest, style=Markup(_STYLE)))  # noqa: S704  our constant

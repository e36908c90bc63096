"""Draw the validation report as one HTML page that needs nothing but itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.json_files import write_text
from adapters.page import render

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Validation of {{ data_path }}</title>
{{ policy }}
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
    counts = report["counts"]
    tiles = [
        ("files", counts["n_files"]),
        ("readable", counts["n_readable"]),
        ("quarantined", counts["n_quarantined"]),
        ("classes", counts["n_classes"]),
        *((split, counts[f"n_{split}"]) for split in report["splits"]),
    ]
    largest = max((row["n_images"] for row in report["classes"]), default=0) or 1
    write_text(path, render(_PAGE, {**report, "tiles": tiles, "largest": largest}))

"""What every page of ours has in common: its style, a policy by which nothing is loaded, escaping."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

# A page opens from a disk without a server: whatever a data set smuggles in, no request leaves it and no script runs.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)
OPENING = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{ policy }}
<meta name="referrer" content="no-referrer">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
"""
ENDING = """</body>
</html>
"""
STYLE = """
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


def render(template: str, values: Mapping[str, Any], style: str = "", script: str = "") -> str:
    """Fill a template; every value is escaped, a missing one is an error.

    Args:
        template: Jinja, between `OPENING`, which shows a title, and `ENDING`.
        values: name -> what the template shows; `Markup` is taken as it is.
        style: CSS beyond that of all pages.
        script: the only one that may run, by its digest; the template has it as <script>{{ script }}</script>.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    own = {"style": Markup(STYLE + style), "policy": Markup(_policy(script)), "script": Markup(script)}  # noqa: S704  our constants
    return environment.from_string(template).render({**values, **own})


def _policy(script: str) -> str:
    """Return the policy of a page that may run one script, or none."""
    if not script:
        return POLICY
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return POLICY.replace("img-src data:;", f"img-src data:; script-src 'sha256-{digest}';")

"""How the report looks beyond what every page of ours shares: on a screen, on a phone, in the dark, on paper."""

REPORT_STYLE = """
:root { --own: #0f766e; --other: #64748b; --idle: #a3acb8; --accent-2: #b45309; --third: #5b7fb9; --grid: #e6e9ee;
  --haze: rgba(15, 118, 110, .16); --shade: rgba(100, 116, 139, .10); }
@media (prefers-color-scheme: dark) { :root { --own: #3fc7b6; --other: #93a1b5; --idle: #5f6b7a; --accent-2: #f0a35c;
  --third: #7d9fd6; --grid: #2a2d33; --haze: rgba(63, 199, 182, .20); --shade: rgba(147, 161, 181, .12); } }
html { -webkit-text-size-adjust: 100%; }
body { overflow-wrap: anywhere; }
main { max-width: 70rem; padding-top: 2rem; }
h1 { font-size: 1.9rem; letter-spacing: -.01em; } h2 { font-size: 1.35rem; margin: 3rem 0 .3rem; padding-top: 1.1rem;
  border-top: 1px solid var(--line); } h3 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
h2 + p, .lead { color: var(--soft); max-width: 48rem; } p { max-width: 52rem; } a { color: var(--own); }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin: 1.2rem 0 0; font-size: .9rem; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
.verdicts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem;
  margin: 1.4rem 0 1rem; }
.decision { border-radius: .9rem; padding: 1.1rem 1.3rem; border: 1px solid transparent; }
.decision .ask { font-size: .85rem; font-weight: 600; opacity: .85; }
.decision b { display: block; font-size: 1.35rem; line-height: 1.25; margin: .1rem 0 .4rem; }
.decision p { color: var(--ink); } .decision small { display: block; margin-top: .5rem; color: var(--soft); }
.quiet { background: var(--card); color: var(--ink); border-color: var(--line); }
.tiles { grid-template-columns: repeat(auto-fit, minmax(min(100%, 10.2rem), 1fr)); }
.tile b { font-size: 1.65rem; line-height: 1.2; } .tile .range { font-variant-numeric: tabular-nums; font-size: .9rem; }
.tile .soft { display: block; font-size: .86rem; line-height: 1.4; margin-top: .25rem; }
.tile .what { font-weight: 600; font-size: .86rem; color: var(--soft); }
.notes { list-style: none; padding: 0; margin: 1rem 0; display: grid; gap: .5rem; }
.notes li { background: var(--warn-bg); color: var(--ink); border-left: 4px solid var(--warn); border-radius: .4rem;
  padding: .6rem .9rem; max-width: none; margin: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1.25rem;
  align-items: start; }
figure { margin: 1rem 0; min-width: 0; } figcaption { color: var(--soft); font-size: .88rem; line-height: 1.45;
  margin-top: .4rem; max-width: 46rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.1rem; }
table { font-size: .92rem; } td .badge { margin-right: .2rem; } td { overflow-wrap: break-word; }
.scroll { margin: .8rem 0; } .tiles { margin: 1rem 0 .6rem; }
.scroll td.long { min-width: 14rem; } caption { text-align: left; color: var(--soft); font-size: .88rem;
  padding: .7rem .9rem .2rem; }
section > .card + .card { margin-top: .8rem; }
.card > h3 { margin-top: .1rem; } .sheet { margin: .8rem 0; } .half { max-width: 37rem; }
.badge.quiet { background: var(--shade); } .name-cell.wide { min-width: 13rem;
  max-width: 30rem; }
.name-cell { min-width: 8rem; max-width: 20rem; overflow-wrap: anywhere; unicode-bidi: isolate; }
.rows { display: grid; gap: .15rem; margin: .5rem 0; }
.row { display: grid; grid-template-columns: minmax(6rem, 15rem) minmax(6rem, 1fr) minmax(8.5rem, 14rem);
  gap: .9rem; align-items: center; min-height: 1.9rem; }
.row .name { line-height: 1.25; font-size: .92rem; min-width: 0; } .row .name b { font-weight: 500;
  unicode-bidi: isolate; display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
.row .name small { display: block; color: var(--soft); font-size: .82rem; }
.row .figure { font-variant-numeric: tabular-nums; font-size: .9rem; color: var(--soft); }
.strip { width: 100%; height: 1.6rem; display: block; overflow: visible; }
.strip line, .strip rect { vector-effect: non-scaling-stroke; }
.scale { position: relative; height: 2.4rem; display: block; font-size: .78rem; color: var(--soft); }
.scale i { position: absolute; top: 0; transform: translateX(-50%); font-style: normal; white-space: nowrap;
  font-variant-numeric: tabular-nums; } .scale b { position: absolute; top: 1.15rem; left: 0; right: 0;
  text-align: center; font-weight: 400; }
.axis-row { min-height: 0; align-items: start; }
svg text { font: 11.5px system-ui, "Segoe UI", Roboto, sans-serif; fill: var(--ink); }
svg .tick { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums; } svg .label { fill: var(--soft); }
svg .strong { font-weight: 600; fill: var(--ink); } svg .end { text-anchor: end; } svg .mid { text-anchor: middle; }
svg .light { fill: var(--card); } svg .grid { stroke: var(--grid); stroke-width: 1; } svg .axis { stroke: var(--idle); }
svg .zero { stroke: var(--ink); stroke-width: 1.2; } svg .band { fill: var(--shade); }
svg .span { stroke-width: 4; stroke-opacity: .45; } svg .point { stroke-width: 11; stroke-linecap: round; }
svg .own { stroke: var(--own); } svg .other { stroke: var(--other); } svg .idle { stroke: var(--idle); }
svg .good { stroke: var(--good); } svg .bad { stroke: var(--bad); }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .ideal { stroke: var(--idle);
  stroke-width: 1.2; stroke-dasharray: 5 4; } svg .whisker { stroke-width: 2.4; stroke-opacity: .5; }
svg .mark { stroke: none; } svg .mark.own { fill: var(--own); } svg .mark.other { fill: var(--other); }
svg .mark.idle { fill: var(--idle); } svg .haze { fill: var(--haze); } svg .kept { fill: var(--haze); }
svg .undone { fill: var(--shade); } svg .divide { stroke: var(--idle); stroke-dasharray: 2 3; }
svg .frame { fill: none; stroke: var(--line); } svg .cell { stroke: var(--grid); stroke-width: .6; }
svg .right { fill: var(--own); } svg .wrong { fill: var(--accent-2); }
svg .fill { stroke: none; } svg .fill.a, .key .a { fill: var(--own); background: var(--own); }
svg .fill.b, .key .b { fill: var(--third); background: var(--third); }
svg .fill.c, .key .c { fill: var(--accent-2); background: var(--accent-2); }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .88rem; color: var(--soft); }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; margin-right: .4rem;
  vertical-align: -.05rem; }
svg.plot { width: 100%; max-width: 34rem; height: auto; display: block; }
.matrix-box { overflow-x: auto; } svg.matrix { width: var(--wide); height: auto; display: block; max-width: none; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: .7rem; }
.gallery figure, .case figure { margin: 0; } .shot { width: 100%; min-height: 2rem; max-height: 18rem;
  object-fit: contain; background: var(--shade); border-radius: .5rem; display: block; }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); gap: 1rem; }
.case .shot { background: none; border-radius: .3rem; } .case p { margin: .8rem 0 .4rem; }
.gallery.three { grid-template-columns: repeat(3, minmax(0, 6rem)); }
.gallery.strips { grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.pair > .scroll { margin: 1rem 0; }
.gallery.three .shot { aspect-ratio: 1; } bdi { font-weight: 600; }
.clip { display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden;
  unicode-bidi: isolate; } code { unicode-bidi: isolate; }
.gallery figcaption { overflow-wrap: anywhere; font-size: .82rem; }
.card dl, dl.facts { display: grid; grid-template-columns: minmax(7rem, 13rem) minmax(0, 1fr); gap: .45rem 1.2rem;
  margin: .6rem 0; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; } .unsaid { color: var(--soft);
  font-style: italic; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem;
  white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.5 ui-monospace, Menlo, Consolas, monospace; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .88rem; }
@media (max-width: 40rem) { main { padding: 1.2rem 1rem 3rem; } h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; }
  .row { grid-template-columns: minmax(0, 1fr) auto; gap: 0 .8rem; padding: .35rem 0; } .row .strip, .row .scale {
  grid-column: 1 / -1; grid-row: 2; } .axis-row .name, .axis-row .figure { display: none; }
  .row .figure { text-align: right; } .card dl, dl.facts { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .6rem; } .card { padding: .8rem .85rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); } .tile { padding: .7rem .8rem; } }
@media print { @page { size: A4; margin: 14mm 13mm; } :root { color-scheme: light; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } body { font-size: 10.5pt; background: #fff; }
  main { max-width: none; padding: 0; } nav { display: none; } h2 { margin-top: 1.6rem; }
  h2, h2 + p { break-after: avoid; }
  p { break-inside: avoid; } h3, .keys { break-after: avoid; }
  figure, .tile, .decision, .row, .case, tr, .notes li, dd, dt {
  break-inside: avoid; } .scroll, .matrix-box { overflow: visible; } table { font-size: 8.5pt; }
  th, td { padding: .3rem .45rem; } th { white-space: normal; } thead { display: table-header-group; }
  svg.matrix { max-width: 100%; } .pair { grid-template-columns: 1fr 1fr; } .half { max-width: 55%; } }
"""

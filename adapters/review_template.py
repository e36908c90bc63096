"""How the page of labels that look wrong is laid out, and the script that saves what was decided."""

STYLE = """
main { max-width: 78rem; padding-bottom: 6rem; } body { overflow-wrap: anywhere; }
.lead { max-width: 52rem; } ol.steps { padding-left: 1.2rem; max-width: 52rem; }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 33rem), 1fr)); gap: 1rem;
  margin-top: 1.5rem; }
.case { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem; margin: 0;
  min-width: 0; display: grid; grid-template-columns: 9.5rem minmax(0, 1fr); gap: .8rem 1rem; align-content: start; }
.case.decided { border-color: var(--good); box-shadow: inset 4px 0 0 var(--good); }
.case > img { width: 100%; max-height: 12rem; object-fit: contain; border-radius: .4rem; background: var(--line); }
.what { min-width: 0; } .what b { font-size: 1.05rem; } bdi { font-weight: 600; } code { unicode-bidi: isolate; }
.like { display: flex; gap: .35rem; margin: .2rem 0 .5rem; } .like img { width: 3.6rem; height: 3.6rem;
  object-fit: contain; background: var(--line); border-radius: .3rem; }
.like-name { font-size: .85rem; color: var(--soft); }
fieldset { grid-column: 1 / -1; border: 0; padding: 0; margin: 0; display: flex; flex-wrap: wrap; gap: .4rem;
  min-width: 0; }
fieldset label { border: 1px solid var(--line); border-radius: .5rem; padding: .35rem .7rem; cursor: pointer;
  max-width: 100%; }
fieldset label:has(input:checked) { border-color: var(--good); background: var(--good-bg); color: var(--good); }
fieldset label:focus-within { outline: 2px solid var(--bar); outline-offset: 1px; }
input[type=text] { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line);
  border-radius: .35rem; padding: .05rem .4rem; width: 9rem; max-width: 100%; }
.foot { position: fixed; inset: auto 0 0 0; background: var(--card); border-top: 1px solid var(--line);
  padding: .7rem 1.25rem; display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center;
  justify-content: center; }
.foot[hidden] { display: none; }
button { font: inherit; font-weight: 600; border: 0; border-radius: .5rem; padding: .5rem 1rem; cursor: pointer;
  background: var(--ink); color: var(--paper); }
@media (max-width: 30rem) { .case { grid-template-columns: minmax(0, 1fr); } .case > img { max-height: 16rem; } }
@media print { .foot { display: none; } .case { break-inside: avoid; } }
"""

TEMPLATE = """<main>
<h1>{{ title }}</h1>
<p class="soft"><code>{{ data_path }}</code></p>
<div class="banner {{ 'good' if can_tell and not n_named else 'warn' }}">{% if n_named %}
{{ n_named }} of {{ n_judged }} labels of training and validation images look{{ 's' if n_named == 1 else '' }} wrong
{%- elif can_tell %}No label of {{ n_judged }} training and validation images looks wrong
{%- else %}Wrong labels cannot be told from hard images here{% endif %}.</div>
{% if not can_tell %}<p class="lead">By the features of the chosen backbone {{ '%.1f' % (100 * accuracy) }} % of all
labels are guessed right, which is too few. Add a backbone to <code>select.candidates</code> that suits the images
better, and run again.</p>{% endif %}
{% if n_named %}<p class="lead">Every image was judged by a model that had not seen it, and that gets
{{ '%.1f' % (100 * accuracy) }} % of all labels. By its own reckoning about {{ n_expected }} of the {{ n_named }} named
here are wrong indeed; the others are right but unusual. Look, and decide: nothing changes by itself. Test images are
not judged: mended by what a model says, they would flatter it.</p>
<ol class="steps"><li>Choose below, as many as you like; the surest come first.</li>
<li>Save the table.</li>
<li><code>rootstock data relabel labels.csv</code> applies it, and makes a new version of the data set.</li></ol>
{% endif %}
<datalist id="classes">{% for name in classes %}<option value="{{ name }}"></option>{% endfor %}</datalist>
<div class="cases">
{% for case in cases %}
<article class="case" id="case-{{ case.place }}">
<img src="{{ case.image }}" alt="{{ case.suspect.path }}">
<div class="what">
<b><bdi>{{ case.suspect.given }}</bdi> &rarr; <bdi>{{ case.suspect.suggested }}</bdi>?</b>
<p class="soft">The label is wrong with probability
{{ '%.2f' % case.suspect.confidence if case.suspect.confidence < 0.995 else 'above 0.99' }}.<br>
<code>{{ case.suspect.path }}</code></p>
{% for name, images in case.alike %}{% if images %}
<span class="like-name">Most alike of <bdi>{{ name }}</bdi>{{ ', the given label' if loop.index == 2 else '' }}</span>
<div class="like">{% for path, image in images %}<img src="{{ image }}" alt="{{ path }}" title="{{ path }}">{% endfor %}
</div>{% endif %}{% endfor %}
</div>
<fieldset data-place="{{ case.place }}" aria-label="Decision on {{ case.suspect.path }}">
<label><input type="radio" name="d{{ case.place }}" value="{{ keep }}"> Keep <bdi>{{ case.suspect.given }}</bdi></label>
<label><input type="radio" name="d{{ case.place }}" value="{{ relabel }}{{ case.suspect.suggested }}">
It is <bdi>{{ case.suspect.suggested }}</bdi></label>
{% if classes | length > 2 %}<label><input type="radio" name="d{{ case.place }}" value="{{ relabel }}"> It is
<input type="text" list="classes" aria-label="Another class" placeholder="another class"></label>
{% endif %}<label><input type="radio" name="d{{ case.place }}" value="{{ remove }}"> Remove the image</label>
</fieldset>
</article>
{% endfor %}
</div>
{% if n_left_out %}<p class="soft">{{ n_left_out }} more stand in artifacts/review/labels.csv;
<code>rootstock data review --most {{ n_named }}</code> shows them too.</p>{% endif %}
</main>
<div class="foot" hidden><span id="count" role="status"></span><button type="button" id="save">Save labels.csv</button>
</div>
<noscript><p class="soft">Without scripts, write decisions into artifacts/review/labels.csv.</p></noscript>
<script type="application/json" id="rows">{{ plain }}</script>
<script>{{ script }}</script>
"""

SCRIPT = """
'use strict';
const {columns, rows} = JSON.parse(document.getElementById('rows').textContent);
const at = columns.indexOf('decision'), key = 'labels ' + rows.map(row => row[columns.length - 1].slice(0, 8)).join('');
const sets = [...document.querySelectorAll('fieldset')];
let kept = {};
try { kept = JSON.parse(localStorage.getItem(key) || '{}'); } catch (error) { kept = {}; }
function decision(set) {
  const chosen = set.querySelector('input[type=radio]:checked');
  if (!chosen) return '';
  if (chosen.value !== 'relabel:') return chosen.value;
  const name = set.querySelector('input[type=text]').value.trim();
  return name ? 'relabel:' + name : '';
}
function show() {
  let n = 0;
  for (const set of sets) {
    const row = rows[Number(set.dataset.place)], said = decision(set);
    row[at] = said;
    if (said) { n += 1; kept[row[0]] = said; } else { delete kept[row[0]]; }
    set.closest('.case').classList.toggle('decided', Boolean(said));
  }
  document.getElementById('count').textContent = n + ' of ' + rows.length + ' decided';
  try { localStorage.setItem(key, JSON.stringify(kept)); } catch (error) { /* a browser that keeps nothing */ }
}
function cell(text) {
  return /[",;\\t\\r\\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}
for (const set of sets) {
  const said = kept[rows[Number(set.dataset.place)][0]], other = set.querySelector('input[type=text]');
  if (said) {
    const radios = [...set.querySelectorAll('input[type=radio]')];
    const same = radios.find(one => one.value === said);
    if (same) { same.checked = true; } else if (other) {
      radios.find(one => one.value === 'relabel:').checked = true;
      other.value = said.slice('relabel:'.length);
    }
  }
  if (other) other.addEventListener('input', () => {
    other.closest('label').querySelector('input[type=radio]').checked = true;
    show();
  });
  set.addEventListener('change', show);
}
document.getElementById('save').addEventListener('click', () => {
  const text = [columns, ...rows].map(row => row.map(cell).join(',') + '\\n').join('');
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'text/csv'}));
  link.download = 'labels.csv';
  link.click();
});
document.querySelector('.foot').hidden = rows.length === 0;
show();
"""

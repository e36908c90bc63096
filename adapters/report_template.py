"""The first half of the report's page: verdict, figures, data, choice, training."""

HEAD = """<main>
<header>
<p class="soft">{{ subtitle }}</p>
<h1>{{ title }}</h1>
</header>
<div class="verdicts">
{% for card in decisions %}<section class="decision {{ card.kind }}">
<span class="ask">{{ card.ask }}</span><b>{{ card.headline }}</b>
<p>{{ card.so }}</p><small>{{ card.sentence }}</small>
{% for reason in card.reasons %}<small>{{ reason }}</small>{% endfor %}
{% if card.command %}<small>To overrule or decide: <code>{{ card.command }}</code></small>{% endif %}
</section>
{% endfor %}</div>
<div class="tiles">
{% for tile in tiles %}<div class="tile"><span class="what">{{ tile.what }}</span><b>{{ tile.value }}</b>
<span class="range">{{ tile.range }}</span><span class="soft">{{ tile.means }}</span></div>
{% endfor %}</div>
<p class="soft">Ranges are {{ confidence }} intervals. {{ looks }}</p>
{% if warnings %}<ul class="notes" aria-label="What must not be overlooked">
{% for warning in warnings %}<li>{{ warning }}</li>{% endfor %}</ul>{% endif %}
<nav aria-label="Sections">{% for anchor, name in sections %}<a href="#{{ anchor }}">{{ name }}</a>{% endfor %}</nav>

<section id="gain">
<h2>What the transfer gave</h2>
<p>The model beside models that cost no more, on the same test images. A line is a {{ confidence }} interval; where it
crosses 0 the two are not told apart.</p>
<figure class="card">{{ gains.picture }}
<figcaption>{% if gains.margin %}Grey: gains within {{ gains.margin }}, too small to matter. {% endif %}
Green: surely better; red: surely worse, by the exact McNemar test, corrected for the number of comparisons.
</figcaption>
</figure>
<div class="scroll" tabindex="0">
<table>
<thead><tr><th>Compared with</th><th class="number">Its accuracy</th><th class="number">Gain, points</th>
<th>So the model is</th><th class="number">p-value, corrected</th></tr></thead>
<tbody>{% for row in gains.rows %}<tr><td>{{ row.name }}</td><td class="number">{{ row.accuracy }}</td>
<td class="number">{{ row.gain }}</td><td>{{ row.told }}</td><td class="number">{{ row.p }}</td></tr>
{% endfor %}</tbody></table></div>
<p class="soft">p-value: how often two equally good models would differ so much by chance; corrected for the number of
comparisons, so that it is larger than in the sentences.</p>
{% for part in gains.parts %}<p>{{ part }}</p>{% endfor %}
</section>

<section id="data">
<h2>Data health</h2>
<p>{{ data.summary }}</p>
<div class="tiles">
{% for what, value in data_tiles %}<div class="tile"><span class="what">{{ what }}</span><b>{{ value }}</b></div>
{% endfor %}</div>
{% if data.failed %}<h3>Not as expected</h3>
<div class="scroll" tabindex="0">
<table><thead><tr><th>Severity</th><th>Expectation</th><th class="number">Not so</th>
<th>What to do</th></tr></thead><tbody>
{% for check in data.failed %}<tr><td><span class="badge {{ 'bad' if check.severity == 'error' else 'warn' }}">
{{ check.severity }}</span></td><td class="long">{{ check.says }}</td>
<td class="number">
{{ 'the table' if check.observed else check.n_unexpected ~ ' of ' ~ check.n_checked }}</td>
<td class="long">{{ check.remedy }}</td></tr>
{% endfor %}</tbody></table></div>{% endif %}
<h3>Images by class and split</h3>
<figure class="card">{{ data.picture }}
{% if data.n_left_out %}<figcaption>The largest and the smallest classes; {{ data.n_left_out }} between them are left
out here and stand in artifacts/validate/report.html.</figcaption>{% endif %}</figure>
<p class="soft">Do labels look wrong? <code>rootstock data review</code> names those of training and validation images
that a probe doubts, on a page to decide on.</p>
{% if data.n_quarantined %}<h3>Quarantine</h3>
<p class="soft">Files that could not be read and that no stage uses: {{ data.n_quarantined }}.</p>
<div class="scroll" tabindex="0">
<table><thead><tr><th>File</th><th>Why</th></tr></thead><tbody>
{% for file in data.quarantined %}<tr><td class="name-cell"><code>{{ file.path }}</code></td><td class="long">
{{ file.problem }}</td></tr>{% endfor %}</tbody></table></div>
{% if data.n_quarantined > data.quarantined | length %}<p class="soft">
{{ data.n_quarantined - data.quarantined | length }} more are in artifacts/validate/report.html.</p>{% endif %}
{% endif %}
</section>

<section id="ranking">
<h2>Choice of the backbone</h2>
<p>{{ choice.why }}</p>
<figure class="card">{{ choice.picture }}
<figcaption>Accuracy that each candidate is expected to reach once fine-tuned, from {{ choice.n_rows }} training
images{{ choice.remembered }};
lines are intervals.</figcaption></figure>
<div class="scroll" tabindex="0">
<table>
<thead><tr><th class="number">#</th><th>Candidate</th>
<th class="number">Is the best</th><th class="number">ms an image</th>
<th class="number">MB</th><th class="number">Training, s</th><th>Licence</th></tr></thead>
<tbody>{% for row in choice.rows %}<tr><td class="number">{{ loop.index }}</td>
<td class="name-cell wide">{{ row.name }}
{% if row.won %}<span class="badge good">chosen</span>
{% elif row.level %}<span class="badge warn">level</span>{% endif %}
{% if row.beyond %}<span class="badge warn">{{ row.beyond }}</span>{% endif %}</td>
<td class="number">{{ row.best }}</td><td class="number">{{ row.latency }}</td><td class="number">{{ row.size }}</td>
<td class="number">{{ row.training }}</td><td>{{ row.licence }}</td></tr>{% endfor %}</tbody></table></div>
{% if choice.tradeoff %}<figure class="card half">{{ choice.tradeoff }}
<figcaption>Numbers are those of the table; up and to the left is better.</figcaption></figure>{% endif %}
{% for row in choice.failed %}<p class="soft">{{ row.reference }} could not be scored: {{ row.why }}</p>{% endfor %}
</section>

<section id="training">
<h2>Learning curves</h2>
<p>Strategy {{ training.strategy }}. A step is kept only where it lowers the validation loss by more than its noise;
otherwise the weights go back to what they were.</p>
<div class="pair">
{% if training.picture %}<figure class="card">{{ training.picture }}
<figcaption>The model: a band is a step, green where it was kept, grey where it was rolled back; lower is better.
</figcaption></figure>{% endif %}
{% if training.scratch %}<figure class="card">{{ training.scratch }}
<figcaption>The reference from scratch on as many images ({{ training.note }}): a curve that still falls at its end says
that it was not given its best.</figcaption></figure>{% endif %}
</div>
<div class="scroll" tabindex="0">
<table><caption>How each step ended; loss is the validation NLL, lower is better</caption>
<thead><tr><th>Step</th><th>What it trained</th><th>Ending</th><th class="number">Loss before</th>
<th class="number">After</th><th class="number">Noise</th><th class="number">Accuracy</th>
<th class="number">Images</th></tr></thead><tbody>
{% for step in training.steps %}<tr><td>{{ step.name }}</td><td class="long">{{ step.what }}</td>
<td><span class="badge {{ 'good' if step.kept else 'quiet' }}">{{ step.ending }}</span></td>
<td class="number">{{ step.before }}</td><td class="number">{{ step.after }}</td>
<td class="number">{{ step.noise }}</td>
<td class="number">{{ step.accuracy }}</td><td class="number">{{ step.seen }}</td></tr>{% endfor %}
</tbody></table></div>
<p class="soft">Noise: by how much the difference of two such losses varies through the choice of validation
images.</p>
{% if training.plan %}<h3>What was decided before training</h3>
<div class="scroll" tabindex="0">
<table><thead><tr><th>Step</th><th class="number">Trains</th><th class="number">Images</th>
<th class="number">Batch</th><th>What is computed once</th></tr></thead><tbody>
{% for step in training.plan %}<tr><td>{{ step.name }}</td><td class="number">{{ step.share }}</td>
<td class="number">{{ step.images }}</td><td class="number">{{ step.batch or '' }}</td>
<td class="long">{{ step.cache }}</td></tr>{% endfor %}</tbody></table></div>{% endif %}
{% if training.balance %}<p class="soft">{{ training.balance }}.</p>{% endif %}
{% if training.rescues %}<p>Training went wrong {{ training.rescues }} times and went on from the last good state.</p>
{% endif %}
</section>
"""

"""The second half of the report's page: mistakes, confidence, slices, examples, cost, lineage, the model card."""

REST = """{% macro named(words) %}<span class="clip" title="{{ words }}">{{ words }}</span>{% endmacro %}

<section id="confusion">
<h2>Confusion</h2>
<p>{{ answers.n_wrong }} of {{ answers.n_test }} test images are answered wrongly.</p>
<div class="{{ 'pair' if answers.is_small else '' }}">
{% if answers.matrix %}<figure class="card">{{ answers.matrix }}
<figcaption>Rows are what an image is, columns what the model says; the darker, the larger the share of the row. Orange
cells are mistakes.</figcaption></figure>
{% else %}<p class="soft">The matrix of more than {{ answers.most_classes }} classes is not drawn; these are its largest
mistakes, and the whole of it is in artifacts/evaluate/predictions.csv.</p>{% endif %}
{% if answers.pairs %}<div class="scroll" tabindex="0">
<table><caption>The most frequent mistakes</caption>
<thead><tr><th>Is</th><th>Taken for</th><th class="number">Images</th><th class="number">Of its test images</th></tr>
</thead><tbody>{% for pair in answers.pairs %}<tr><td class="name-cell">{{ named(pair.actual) }}</td>
<td class="name-cell">{{ named(pair.predicted) }}</td><td class="number">{{ pair.n }}</td>
<td class="number">{{ pair.of }}</td>
</tr>{% endfor %}</tbody></table></div>
{% if answers.n_pairs_left_out %}<p class="soft">{{ answers.n_pairs_left_out }} rarer mistakes are left out.</p>
{% endif %}
{% endif %}
</div>
<h3>Class by class</h3>
<div class="scroll" tabindex="0">
<table><thead><tr><th>Class</th><th class="number">Test images</th>
<th class="number" title="share of the images of the class that are found">Recall</th>
<th class="number" title="share of the answers with this class that are right">Precision</th>
<th class="number" title="precision and recall in one">F1</th>
<th class="number" title="chance that an image of the class is ranked above another">AUROC</th></tr></thead><tbody>
{% for row in answers.classes %}<tr><td class="name-cell">{{ named(row.name) }}</td><td class="number">{{ row.n }}</td>
<td class="number">{{ row.recall }}</td><td class="number">{{ row.precision }}</td><td class="number">{{ row.f1 }}</td>
<td class="number">{{ row.auroc }}</td></tr>{% endfor %}</tbody></table></div>
<p class="soft">Recall: share of a class that is found. Precision: share of the answers with this class that are right.
F1: both in one. AUROC: chance that an image of the class gets a higher probability of it than another image.
{% if answers.n_left_out %}The classes of the lowest recall are shown; {{ answers.n_left_out }} better ones are in
artifacts/evaluate/per_class.csv.{% endif %}</p>
</section>

<section id="calibration">
<h2>Calibration</h2>
<p>{{ sureness.verdict }}</p>
<div class="pair">
<figure class="card">{{ sureness.reliability }}
<figcaption>Images in groups of equal size by how sure the model is. On the dashed line confidence and accuracy agree;
below it the model is too sure.</figcaption></figure>
<figure class="card">{{ sureness.risk }}
<figcaption>If the model answers only the images that it is surest of and leaves the others to a person: how many of its
answers are wrong.</figcaption></figure>
</div>
{% if sureness.before is not none %}<p class="soft">The temperature that is built into the model brings the calibration
error from {{ '%.3f' % sureness.before }} to {{ '%.3f' % sureness.after }}.</p>{% endif %}
<h3>Sets of classes</h3>
<p class="soft">Instead of one answer the model can give a set that holds the right class as often as asked, calibrated
on {{ sureness.n_validation }} validation images: {{ sureness.how }}.</p>
<div class="scroll" tabindex="0">
<table><thead><tr><th>Method</th><th class="number">Asked</th><th class="number">Holds it</th>
<th class="number">Interval</th><th class="number">By chance</th><th class="number">Classes in a set</th>
<th class="number">Empty</th><th>Least covered</th></tr></thead><tbody>
{% for one in sureness.sets %}<tr><td class="long">{{ one.name }}</td><td class="number">{{ one.asked }}</td>
<td class="number">{{ one.value }}</td><td class="number">{{ one.coverage }}</td><td class="number">{{ one.chance }}
{% if one.off %}<span class="badge warn">below</span>{% endif %}</td><td class="number">{{ one.size }}</td>
<td class="number">{{ one.empty }}</td><td class="name-cell">{{ named(one.worst) }}</td></tr>
{% endfor %}</tbody></table></div>
<p class="soft">By chance: between which shares it lies, if validation and test images are alike. Below it, do not trust
the sets; above it they are larger than they need to be.</p>
</section>

<section id="slices">
<h2>Slices</h2>
<p>{{ slices.worst }}</p>
{% if slices.surely %}<p><b>Surely worse than the rest:</b> {{ slices.surely | join(', ') }}.</p>
{% else %}<p>No part of the test images is surely worse than the rest.</p>{% endif %}
{% if slices.picture %}<figure class="card">{{ slices.picture }}
<figcaption>Accuracy of parts of the test images, lowest first; red: surely worse, by Fisher's exact test corrected for
the number of slices.
{% if slices.n_left_out %}{{ slices.n_left_out }} better ones are in artifacts/evaluate/slices.json. {% endif %}
{% if slices.n_small %}{{ slices.n_small }} slices of fewer than {{ slices.fewest }} images are left out: nothing can be
claimed of them.{% endif %}</figcaption></figure>{% endif %}
</section>

{% macro shot(picture, words) %}{% if picture %}<img class="shot" src="{{ picture }}" alt="{{ words }}">
{% else %}<div class="shot"></div>{% endif %}{% endmacro %}
{% macro case(one) %}<div class="case card"><figure>
{{ shot(one.picture, one.actual ~ (' taken for ' ~ one.predicted if one.actual != one.predicted else '')) }}
<figcaption>{% if one.actual == one.predicted %}<bdi>{{ one.actual }}</bdi>, {{ one.probability }} sure{% else %}
<bdi>{{ one.actual }}</bdi> taken for <bdi>{{ one.predicted }}</bdi>, {{ one.probability }} sure{% endif %}<br>
<code>{{ one.path }}</code></figcaption></figure>
<div>{% if one.nearest %}<p class="soft">Most alike among {{ examples.nearest_of }}</p>
<div class="gallery three">{% for near in one.nearest %}<figure>{{ shot(near.picture, near.class) }}
<figcaption><bdi>{{ near.class }}</bdi>, likeness {{ near.similarity }}</figcaption></figure>
{% endfor %}</div>{% endif %}</div>
</div>{% endmacro %}
<section id="examples">
<h2>Examples</h2>
<p>What the model looked at, and which training images it finds alike. A map is a hint, not a proof.</p>
{% for map in examples.maps %}<div class="card"><p><b>{{ map.method }}</b>: {{ map.says }}</p>
{% if map.sanity %}<p><span class="badge {{ 'good' if map.sanity.passed else 'bad' }}">
{{ 'sanity check passed' if map.sanity.passed else 'sanity check failed' }}</span>
{{ map.sanity.sentence }}</p>{% endif %}
</div>{% endfor %}
{% if examples.errors %}<h3>Wrong, the surest first</h3><div class="cases">
{% for one in examples.errors %}{{ case(one) }}{% endfor %}</div>
{% else %}<p class="soft">No mistake that the model was sure of.</p>{% endif %}
{% if examples.pairs %}<h3>Classes that are confused</h3>
{% for pair in examples.pairs %}<div class="card sheet"><p>
<bdi>{{ pair.actual }}</bdi> taken for <bdi>{{ pair.predicted }}</bdi>:
{{ pair.n }} image{{ "" if pair.n == 1 else "s" }}, {{ pair.share }} of the class</p><div class="gallery strips">
{% for picture in pair.pictures %}<figure>{{ shot(picture, pair.actual ~ ' taken for ' ~ pair.predicted) }}</figure>
{% endfor %}</div></div>{% endfor %}{% endif %}
{% if examples.right %}<h3>Further examples</h3>
<div class="cases">{% for one in examples.right %}{{ case(one) }}{% endfor %}</div>{% endif %}
{% if examples.left_out %}<p class="soft">Left out here: {{ examples.left_out }}; all are in artifacts/explain/.</p>
{% endif %}
{% if examples.n_unread %}<p class="soft">{{ examples.n_unread }} pictures are missing or did not fit into this page;
they are in artifacts/explain/.</p>{% endif %}
</section>

<section id="cost">
<h2>Cost</h2>
<p>What each stage took when it last ran on this machine; a stage whose outputs were taken from an earlier run keeps
the time of that run.</p>
{% if cost.picture %}<figure class="card">{{ cost.picture }}<figcaption>{{ cost.total }} in all.</figcaption></figure>
{% else %}<p class="soft">No stage left a measurement on this machine.</p>{% endif %}
<dl class="facts">{% for what, said in cost.facts %}<dt>{{ what }}</dt><dd>{{ said }}</dd>{% endfor %}</dl>
</section>

<section id="lineage">
<h2>Lineage</h2>
<p>What the model was made from, and how to make it again.</p>
{% if lineage.changed %}<ul class="notes"><li>The code had uncommitted changes when the model was registered: the commit
below does not hold all of it.</li></ul>{% endif %}
<dl class="facts">{% for what, said in lineage.facts %}<dt>{{ what }}</dt><dd>{{ said }}</dd>{% endfor %}</dl>
<pre>{% for command, why in lineage.commands %}{{ command }}   # {{ why }}
{% endfor %}</pre>
</section>

<section id="card">
<h2>Model card</h2>
<p>After Mitchell et al. 2019 (arXiv:1810.03993); the same text is model_card.md beside this page.</p>
{% for section in card %}<div class="card sheet"><h3>{{ section.heading }}</h3><dl>
{% for field in section.fields %}<dt>{{ field.label }}</dt>
<dd{% if field.unsaid %} class="unsaid"{% endif %}>{{ field.text }}</dd>{% endfor %}</dl></div>
{% endfor %}</section>
<footer>Written {{ written }} by Rootstock from the records in artifacts/; who is champion now,
<code>rootstock champions</code> tells. This page is one file: it loads nothing and runs no script.</footer>
</main>
"""

"""Findings as a self-contained HTML page."""

from collections.abc import Sequence
from html import escape as html_escape
from importlib import resources

from keras_ext.doctor.finding import Finding, Remedy
from keras_ext.doctor.report import wording
from keras_ext.doctor.run_history import Facts, RunHistory


def html(
    findings: Sequence[Finding],
    history: RunHistory | None = None,
    title: str = "Training report",
) -> str:
    """Return findings as a self-contained HTML page.

    The page loads nothing and runs no script. It has figures of the history
    if Matplotlib is installed; drawing takes about a second. Text from models
    and users is escaped.

    Args:
        findings: The doctor's findings, the most severe first.
        history: What was measured. Defaults to `None`: no figures.
        title: Title of the page. Defaults to `"Training report"`.
    """
    history = RunHistory(Facts()) if history is None else history
    worst = findings[0].severity if findings else "healthy"
    style = resources.files("keras_ext.doctor.report").joinpath("report.css")
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, '
            'initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            # It also holds where a browser embeds the page.
            '<meta http-equiv="Content-Security-Policy" content="'
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
            f"<title>{_escaped(title)}</title>",
            f"<style>\n{style.read_text(encoding='utf-8')}</style>",
            "</head>",
            "<body>",
            "<main>",
            f"<h1>{_escaped(title)}</h1>",
            f'<p class="summary {worst}">'
            f"{_escaped(wording.summary(findings))}</p>",
            _run(history),
            *map(_finding, findings),
            _figures(history),
            _layers(history.facts),
            "</main>",
            "</body>",
            "</html>",
            "",
        )
    )


def _escaped(shown: object) -> str:
    return html_escape(wording.clean(str(shown)), quote=True)


def _run(history: RunHistory) -> str:
    """Return a line about the training as a whole."""
    facts, parts = history.facts, []
    if history.epoch is not None:
        parts.append(f"epochs: {history.epoch + 1}")
    if history.steps_per_epoch:
        parts.append(f"steps per epoch: {history.steps_per_epoch}")
    if facts.optimizer:
        parts.append(f"optimizer: {facts.optimizer}")
    if facts.learning_rate is not None:
        rate = wording.number(facts.learning_rate)
        parts.append(f"learning rate: {rate}")
    if facts.parameters:
        parts.append(f"trainable weights: {facts.parameters:,}")
    for key in ("loss", "val_loss"):
        if len(history.logs.get(key, ())):
            last = wording.number(float(history.logs[key][-1]))
            parts.append(f"{wording.label(key)}: {last}")
    if not parts:
        return ""
    return f'<p class="run">{_escaped(" · ".join(parts))}</p>'


def _finding(finding: Finding) -> str:
    problem = wording.problem_in_words(finding.problem)
    parts = [
        f'<section class="finding {_escaped(finding.severity)}">',
        f'<h2><span class="severity">{_escaped(finding.severity)}</span> '
        f"{_escaped(problem)}</h2>",
        f'<p class="place">{_escaped(wording.place_in_words(finding))}</p>',
        f"<p>{_escaped(finding.message)}</p>",
    ]
    if finding.consequences:
        arrow = ' <span class="arrow">→</span> '
        links = (
            f"<span>{_escaped(wording.problem_in_words(p))}</span>"
            for p in finding.chain
        )
        parts.append(f'<p class="chain">{arrow.join(links)}</p>')
    parts += [_evidence(finding), _remedies(finding.remedies)]
    if finding.consequences:
        parts.append("<h3>Consequences</h3>")
        parts += map(_consequence, finding.consequences)
    parts.append("</section>")
    return "\n".join(part for part in parts if part)


def _consequence(finding: Finding) -> str:
    problem = wording.problem_in_words(finding.problem)
    return (
        f"<details><summary>{_escaped(problem)} "
        f'<span class="place">{_escaped(wording.place_in_words(finding))}'
        f"</span></summary>\n<p>{_escaped(finding.message)}</p>\n"
        f"{_evidence(finding)}</details>"
    )


def _evidence(finding: Finding) -> str:
    if not finding.evidence:
        return ""
    rows = (
        f'<tr><th scope="row">{_escaped(wording.label(key))}</th>'
        f"<td>{_escaped(wording.number(value))}</td></tr>"
        for key, value in finding.evidence.items()
    )
    return f"<h3>Evidence</h3>\n<table>{''.join(rows)}</table>"


def _remedies(remedies: Sequence[Remedy]) -> str:
    if not remedies:
        return ""
    items = (
        f"<li>{_escaped(advice)}\n<pre><code>{_escaped(change)}</code></pre>"
        "</li>"
        for advice, change in remedies
    )
    return f"<h3>What helps</h3>\n<ol>{''.join(items)}</ol>"


def _figures(history: RunHistory) -> str:
    # Not at the top: the rules need no plotting packages.
    from keras_ext.doctor.report.report_figures import figures

    try:
        drawn = list(figures(history))
    except ImportError as error:
        return f'<p class="missing">No figures: {_escaped(error)}</p>'
    if not drawn:
        return ""
    parts = ["<h2>What was measured</h2>"]
    for heading, reading, address, width in drawn:
        parts.append(
            f"<figure><figcaption><strong>{_escaped(heading)}.</strong> "
            f"{_escaped(reading)}</figcaption>\n"
            f'<div class="image"><img src="{address}" width="{width}" '
            f'alt="{_escaped(heading)}"></div></figure>'
        )
    return "\n".join(parts)


def _layers(facts: Facts) -> str:
    if not facts.layers:
        return ""
    head = ("layer", "class", "activation", "units", "initial weights (std)")
    rows = []
    for layer in facts.layers:
        std = layer.weight_std
        cells = (
            layer.path,
            layer.kind,
            layer.activation or "",
            "" if layer.units is None else layer.units,
            "" if std is None else wording.number(std),
        )
        rows.append("".join(f"<td>{_escaped(cell)}</td>" for cell in cells))
    titles = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        "<details><summary>Layers of the model</summary>\n"
        f'<div class="wide"><table><tr>{titles}</tr>{body}</table></div>'
        "</details>"
    )

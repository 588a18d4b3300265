"""Writes `docs/zoo.md` from the results.

python -m benchmarks.zoo.page
"""

import json
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.zoo.starting import KINDS
from benchmarks.zoo.verdicts import CHECKS, OF_KERAS, Verdict, verdicts

Rows = dict[str, dict[str, Any]]
HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "zoo.md"
BACKENDS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX"}

INTRO = """# Models of others

Does `keras_ext` work on models that it was not written for? This page shows
{count} models from {sources} sources: architectures that people train with
Keras 3, small and with random weights. Each model trains a few steps on toy
data, without and with all monitors and the doctor. Then `convert` swaps its
built-ins, and a fresh process loads the result.

{checks}

A cell counts the models that pass, of those to which the check applies.
{measured}
{faults}

## Plain Keras

Some models do not train, save or load with Keras alone. Checks that need it do
not apply to these models.

{of_keras}

## How it is measured

*State* is every number that a training changes: weights, seeds, metrics,
optimizer state and random generators. On PyTorch and TensorFlow it must be
bit-identical. On JAX a relative difference of {rounding} may remain, because
XLA may round in another way if a step returns more. Some trainings amplify
rounding beyond that. They must be bit-identical op by op, without a compiled
step. And the difference must be at most ten times that of a training whose
first weights differ by one rounding.

*Norm* and *keys* compare the first step with the gradients that the optimizer
of a plain training receives. Norms may differ by {norm}, outputs of a
converted model by {outputs}. *Convert* compares weights and flags, losses and
metrics, and class, settings and state of each optimizer.

`make zoo` measures all models and writes this page. The command
`python -m benchmarks.zoo.page` writes the page from the stored results in
`benchmarks/zoo/results`.
"""

START = """## Models of 300 layers and more

*Processor seconds and memory of one call in a fresh process. A step includes
tracing and compiling. "Monitored" adds four loggers and the doctor.*
"""

FINDINGS = """## Findings

What `TrainingDoctor` and `check` reported, without infos. All models are
healthy, but some of them hardly learn in so few steps.
"""


def main() -> None:
    """Write the page."""
    results = {backend: read(backend) for backend in BACKENDS}
    PAGE.write_text(page({b: rows for b, rows in results.items() if rows}))
    print(f"wrote {PAGE}")


def path_of(backend: str) -> pathlib.Path:
    """Return the file of a backend's rows."""
    return HERE / "results" / f"{backend}.json"


def read(backend: str) -> Rows:
    """Return the stored rows of a backend."""
    path = path_of(backend)
    return json.loads(path.read_text()) if path.exists() else {}


def page(results: dict[str, Rows]) -> str:
    """Return the text of the page."""
    names = _names(results)
    sources = dict.fromkeys(names.values())
    judged = {
        backend: {name: verdicts(row, backend) for name, row in rows.items()}
        for backend, rows in results.items()
    }
    ours = [check for check in CHECKS if check not in OF_KERAS]
    faults = _reasons("## Faults", False, ours, judged)
    parts = [
        INTRO.format(
            count=len(names),
            sources=len(sources),
            checks="\n".join(_summary(ours, judged)),
            measured=_measured(len(names), results),
            of_keras="\n".join(_summary(OF_KERAS, judged)),
            faults="[Faults](#faults) are listed below."
            if len(faults) > 1
            else "No model fails a check.",
            rounding="0.001",
            norm="0.0001",
            outputs="0.00001",
        )
    ]
    for source in sources:
        own = [name for name in names if names[name] == source]
        parts.append("\n".join(_table(source, own, results, judged)))
    for lines in (
        faults,
        _reasons("## What plain Keras cannot do", False, OF_KERAS, judged),
        _reasons("## What is not measured", None, ours, judged),
    ):
        parts.append("\n".join(lines if lines[1:] else [*lines, "Nothing."]))
    parts.append("\n".join(_start(results)))
    parts.append("\n".join(_findings(names, results)))
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _names(results: dict[str, Rows]) -> dict[str, str]:
    """Map the models to their sources, in the order of the registry."""
    names: dict[str, str] = {}
    for rows in results.values():
        names |= {name: row["source"] for name, row in rows.items()}
    order = list(dict.fromkeys(names.values()))
    return dict(sorted(names.items(), key=lambda x: order.index(x[1])))


def _measured(count: int, results: dict[str, Rows]) -> str:
    parts = [
        f"{len(rows)} on {BACKENDS[backend]}"
        for backend, rows in results.items()
        if len(rows) < count
    ]
    if not parts:
        return "Each model is measured on each backend."
    return f"Not each model is measured on each backend: {', '.join(parts)}."


def _summary(checks: Iterable[str], judged: Any) -> Iterator[str]:
    yield from _head("check", *(BACKENDS[b] for b in judged))
    for check in checks:
        cells = []
        for models in judged.values():
            found = [verdict[check].passed for verdict in models.values()]
            applies = [passed for passed in found if passed is not None]
            cells.append(f"{sum(applies)} of {len(applies)}")
        yield _row(f"*{check}*: {CHECKS[check]}", *cells)


def _table(
    source: str, names: list[str], results: Any, judged: Any
) -> Iterator[str]:
    yield f"## {source}\n"
    yield from _head("model", "layers", "weights", *map(BACKENDS.get, results))
    for name in names:
        rows = [rows[name] for rows in results.values() if name in rows]
        sizes = next((row for row in rows if "layers" in row), {})
        cells = [
            _cell(models[name]) if name in models else "not measured"
            for models in judged.values()
        ]
        yield _row(
            name,
            sizes.get("layers", ""),
            f"{sizes['weights']:,}" if sizes else "",
            *cells,
        )


def _cell(verdict: dict[str, Verdict]) -> str:
    if verdict["trains"].passed is False:
        return "Keras does not train it"
    loads = verdict["loads"].passed
    failed = [check for check, v in verdict.items() if v.passed is False]
    left_out = [check for check, v in verdict.items() if v.passed is None]
    if not loads:
        failed.remove("loads")
        left_out = [c for c in left_out if c not in ("convert", "reload")]
    text = f"fails: {', '.join(failed)}" if failed else "passes"
    if left_out:
        text += f"; not measured: {', '.join(left_out)}"
    return text if loads else f"{text}; Keras does not reload all of it"


def _reasons(
    title: str, passed: Any, checks: Iterable[str], judged: Any
) -> list[str]:
    """List the checks with a verdict, the same reasons together."""
    lines = [f"{title}\n"]
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for backend, models in judged.items():
        for name, verdict in models.items():
            for check in checks:
                result = verdict[check]
                if result.passed is not passed or (
                    check != "trains" and verdict["trains"].passed is False
                ):
                    continue
                key = check, _escaped(result.reason)
                where = found.setdefault(key, {})
                where.setdefault(name, []).append(BACKENDS[backend])
    for (check, reason), where in sorted(found.items()):
        lines.append(f"- *{check}*: {reason}")
        by_backends: dict[str, list[str]] = {}
        for name, backends in where.items():
            by_backends.setdefault(", ".join(backends), []).append(name)
        for backends, names in by_backends.items():
            lines.append(f"    - {backends}: {', '.join(names)}")
    return lines


def _start(results: dict[str, Rows]) -> Iterator[str]:
    yield START
    yield from _head("model, layers, backend", *KINDS)
    for backend, rows in results.items():
        for name, row in rows.items():
            if "start" in row and "layers" in row:
                cells = [
                    f"{pair[0]:.1f} s, {pair[1]} MB" if pair else "no result"
                    for pair in map(row["start"].get, KINDS)
                ]
                title = f"{name}, {row['layers']}, {BACKENDS[backend]}"
                yield _row(title, *cells)


def _findings(names: Any, results: dict[str, Rows]) -> Iterator[str]:
    yield FINDINGS
    found: dict[tuple[str, str, str], list[str]] = {}
    for backend, rows in results.items():
        for name, row in rows.items():
            for part in ("doctor", "check"):
                for text in row.get(part, []):
                    key = name, part, text
                    found.setdefault(key, []).append(BACKENDS[backend])
    if not found:
        yield "None."
        return
    yield from _head("model", "by", "finding", "on")
    order = list(names)
    for (name, part, text), backends in sorted(
        found.items(), key=lambda item: order.index(item[0][0])
    ):
        yield _row(name, part, text, ", ".join(backends))


def _escaped(text: str) -> str:
    """Return an error's text as Markdown shows it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)  # a terminal's colours
    for sign in "\\`*_<>[]|":
        text = text.replace(sign, "\\" + sign)
    return "".join(c for c in text if c.isprintable()) or "no reason"


def _head(*cells: Any) -> Iterable[str]:
    return _row(*cells), "|" + "---|" * len(cells)


def _row(*cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()

"""Writes `docs/zoo.md` from the results.

python -m benchmarks.zoo.page
"""

import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.zoo.verdicts import CHECKS, Verdict, verdicts

Rows = dict[str, dict[str, Any]]
HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "zoo.md"
BACKENDS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX"}

INTRO = """# Models of others

{count} models from {sources} sources: architectures that people train with
Keras 3, small and with random weights. Each of them trains a few steps on toy
data, on each backend. This page shows what monitors, the doctor and `convert`
do to them.

`make zoo` measures all models and writes this page. The command
`python -m benchmarks.zoo.page` writes the page from the stored results in
`benchmarks/zoo/results`.

## Checks

{checks}

*State* is every number that a training changes: weights, seeds, metrics,
optimizer state and random generators. On PyTorch and TensorFlow it must be
bit-identical. XLA may fuse a step in another way if it returns more. So on JAX
the relative difference must be at most {rounding}, or at most ten times that of
a training whose first weights differ by one rounding. The relative difference
of gradient norms must be at most {norm}, of outputs at most {outputs}. *Norm*
and *keys* compare the first step with the gradients that the optimizer of a
plain training receives.

If plain Keras does not train, save or load a model, the model is named below,
and its remaining checks do not apply.
"""

START = """## Models of 300 layers and more

*Seconds and memory of one call in a fresh process. A step includes tracing and
compiling. "Monitored" adds four loggers and the doctor.*
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


def read(backend: str) -> Rows:
    """Return the stored rows of a backend."""
    path = HERE / "results" / f"{backend}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def page(results: dict[str, Rows]) -> str:
    """Return the text of the page."""
    names = _names(results)
    sources = dict.fromkeys(names.values())
    judged = {
        backend: {name: verdicts(row, backend) for name, row in rows.items()}
        for backend, rows in results.items()
    }
    parts = [
        INTRO.format(
            count=len(names),
            sources=len(sources),
            checks="\n".join(_summary(judged)),
            rounding="0.001",
            norm="0.0001",
            outputs="0.00001",
        )
    ]
    for source in sources:
        own = [name for name in names if names[name] == source]
        parts.append("\n".join(_table(source, own, results, judged)))
    parts.append("\n".join(_reasons("## What fails", False, judged)))
    parts.append("\n".join(_reasons("## What does not apply", None, judged)))
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


def _summary(judged: dict[str, Any]) -> Iterator[str]:
    yield from _head("check", *(BACKENDS[b] for b in judged))
    for check, title in CHECKS.items():
        cells = []
        for models in judged.values():
            found = [verdict[check].passed for verdict in models.values()]
            applies = [passed for passed in found if passed is not None]
            cells.append(f"{sum(applies)} of {len(applies)}")
        yield _row(f"*{check}*: {title}", *cells)


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
    failed = [check for check, v in verdict.items() if v.passed is False]
    left_out = [check for check, v in verdict.items() if v.passed is None]
    if "trains" in failed:
        return "does not train"
    if failed:
        return f"fails: {', '.join(failed)}"
    return f"passes, except {', '.join(left_out)}" if left_out else "passes"


def _reasons(title: str, passed: Any, judged: Any) -> Iterator[str]:
    """List the checks with a verdict, the same reasons together."""
    yield f"{title}\n"
    told: dict[tuple[str, str], dict[str, list[str]]] = {}
    for backend, models in judged.items():
        for name, checks in models.items():
            for check, verdict in checks.items():
                if verdict.passed is not passed or "train" in verdict.reason:
                    continue
                key = check, _escaped(verdict.reason)
                where = told.setdefault(key, {})
                where.setdefault(name, []).append(BACKENDS[backend])
    for (check, reason), where in sorted(told.items()):
        yield f"- *{check}*: {reason}"
        by_backends: dict[str, list[str]] = {}
        for name, backends in where.items():
            by_backends.setdefault(", ".join(backends), []).append(name)
        for backends, names in by_backends.items():
            yield f"    - {backends}: {', '.join(names)}"
    if not told:
        yield "Nothing."


def _start(results: dict[str, Rows]) -> Iterator[str]:
    yield START
    kinds = ["step", "monitored step", "check", "convert"]
    yield from _head("model, layers, backend", *kinds)
    for backend, rows in results.items():
        for name, row in rows.items():
            if "start" in row and "layers" in row:
                cells = [
                    f"{pair[0]:.1f} s, {pair[1]} MB" if pair else "no result"
                    for pair in map(row["start"].get, kinds)
                ]
                title = f"{name}, {row['layers']}, {BACKENDS[backend]}"
                yield _row(title, *cells)


def _findings(names: Any, results: dict[str, Rows]) -> Iterator[str]:
    yield FINDINGS
    told: dict[tuple[str, str, str], list[str]] = {}
    for backend, rows in results.items():
        for name, row in rows.items():
            for part in ("doctor", "check"):
                for text in row.get(part, []):
                    key = name, part, text
                    told.setdefault(key, []).append(BACKENDS[backend])
    if not told:
        yield "None."
        return
    yield from _head("model", "by", "finding", "on")
    order = list(names)
    for (name, part, text), backends in sorted(
        told.items(), key=lambda item: order.index(item[0][0])
    ):
        yield _row(name, part, text, ", ".join(backends))


def _escaped(text: str) -> str:
    """Return an error's text as Markdown shows it."""
    for sign in "\\`*_<>[]|":
        text = text.replace(sign, "\\" + sign)
    return "".join(c for c in text if c.isprintable()) or "no reason"


def _head(*cells: Any) -> Iterable[str]:
    return _row(*cells), "|" + "---|" * len(cells)


def _row(*cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()

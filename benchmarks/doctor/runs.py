"""Training a healthy model and its faulty twin, and judging both."""

import pathlib
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from benchmarks.doctor import data, models, storage
from benchmarks.doctor.faults import FAULTS, Fault, damaged
from benchmarks.doctor.models import Spec
from benchmarks.doctor.probe import Probe
from keras_ext.callbacks.training_doctor import TrainingDoctor
from keras_ext.doctor import PROBLEMS

# A faulty run has lost at least this share of its healthy twin's improvement.
LOST = 0.15
# An overfitted one has at least this much better a score on its training
# data, more than its twin, and a validation loss of this multiple of its
# lowest, or of the training loss.
GAP, WORSE = 0.08, 1.5
TRIES = 6


@dataclass
class Run:
    """A finished run.

    Attributes:
        spec: What was trained.
        train_score, score: On the training data and on unseen data.
        chance: What the best constant answer scores.
        history: What the doctor measured.
        found: What the doctor found, as pairs of epoch and problem.
        probe: What the peers look at.
        identical: Whether a hidden layer's units ended as they began: all
            the same.
        seconds: That training took.
    """

    spec: Spec
    train_score: float
    score: float
    chance: float
    history: Any
    found: list[tuple[int | None, str]]
    probe: Probe
    identical: bool
    seconds: float

    @property
    def healthy(self) -> bool:
        """Whether it reached the score of its data set."""
        return self.score >= data.TASKS[self.spec.task].good

    @property
    def improvement(self) -> float:
        """Its score beyond the best constant prediction."""
        return self.score - self.chance


def train(spec: Spec) -> Run:
    """Train a model with the doctor as a callback."""
    clean = data.split(spec.task, spec.scaling, spec.split_seed)
    split = damaged(spec, clean)
    model = models.build(spec, split)
    y = models.targets(spec, split, split.y)
    y_test = models.targets(spec, split, split.y_test)
    found: list[tuple[int | None, str]] = []
    doctor = TrainingDoctor(
        on_finding=lambda f: found.append((f.epoch, f.problem))
    )
    probe = Probe(split.x[:128], y[:128])
    start = time.perf_counter()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        model.fit(
            split.x,
            y,
            batch_size=spec.batch_size,
            epochs=spec.epochs,
            validation_data=(
                (split.x_test, y_test) if spec.validation else None
            ),
            validation_batch_size=len(split.x_test),
            callbacks=[doctor, probe],
            verbose=0,
        )
        both = np.concatenate([split.x, split.x_test])
        answers = model.predict(both, len(both), verbose=0)
        n = len(split.x)
        scores = [
            models.score(spec, split, true, answer)
            for answer, true in (
                (answers[:n], split.y),
                (answers[n:], split.y_test),
            )
        ]
    seconds = time.perf_counter() - start
    return Run(
        spec,
        *scores,
        split.chance,
        doctor.history,
        found,
        probe,
        _identical(model),
        seconds,
    )


def _identical(model: Any) -> bool:
    for layer in model.layers[:-1]:
        kernel = getattr(layer, "kernel", None)
        if kernel is None or kernel.shape[-1] < 2:
            continue
        w = keras.ops.convert_to_numpy(kernel).reshape(-1, kernel.shape[-1])
        if np.ptp(w, axis=-1).max() <= 1e-4 * (np.abs(w).max() + 1e-12):
            return True
    return False


def accepted(run: Run, twin: Run, fault: Fault) -> str:
    """Return an empty string, or why a faulty run is not one."""
    if fault.problem == "overfitting":
        return _no_gap(run, twin)
    if not run.improvement <= (1 - LOST) * twin.improvement:
        return f"score {run.score:.3f}, its twin's {twin.score:.3f}"
    rows = run.probe.rows
    if fault.problem == "vanishing_gradient":
        norms = rows["grad_norm"][0]
        usual = twin.probe.rows["grad_norm"][0][0]
        if not norms[0] < 1e-2 * max(usual, *norms):
            return "gradient does not vanish"
    elif fault.problem == "exploding_gradient":
        if not _steepest(run) >= 30 * _steepest(twin):
            return "gradient does not explode"
    elif fault.problem == "dying_relu":
        if max(rows["silent_units"][-1], default=0) < 0.5:
            return "units live"
    elif fault.problem == "saturated_activation":
        if max(rows["squashed"][0], default=0) < 0.5:
            return "not saturated"
    elif fault.problem == "symmetric_units" and not run.identical:
        return "symmetry was broken"
    return ""


def _steepest(run: Run) -> float:
    """Return the largest norm of the whole gradient in the first epoch."""
    first = storage.truncate(run.history, 0)
    norms = [
        np.linalg.norm(run.probe.rows["grad_norm"][0]),
        *first.series.get("grad_norm/global", ()),
    ]
    return float(np.max(norms)) if np.isfinite(norms).all() else np.inf


def _no_gap(run: Run, twin: Run) -> str:
    gap = run.train_score - run.score
    if gap < GAP + max(0.0, twin.train_score - twin.score):
        return f"gap {gap:.3f}"
    loss, below = run.history.logs["val_loss"], run.history.logs["loss"][-1]
    if loss[-1] < WORSE * min(loss.min(), below):
        return "validation loss is not worse"
    return ""


def _suiting(seed: int, attempt: int, fault: Fault) -> tuple[Spec, Any]:
    """Return a draw that the fault can be done to, and what goes on."""
    rng = np.random.default_rng([seed, attempt])
    while True:
        spec = models.draw(rng, seed)
        if fault.suits(spec):
            return spec, rng


def family_of(
    seed: int, problems: Sequence[str] = PROBLEMS
) -> Iterator[tuple[Run, str, str, dict[str, Any]]]:
    """Yield a healthy run and faulty ones made of it.

    Args:
        seed: Of all that is drawn.
        problems: Of which the seed chooses.

    Yields:
        A run, the problem or `"healthy"`, the kind of injection, and
        what else belongs into its label, with `rejected` if it is not what
        it should be.
    """
    rng = np.random.default_rng([seed, 99])
    turn = seed // 2
    problem = problems[turn % len(problems)]
    kinds = [fault for fault in FAULTS if fault.problem == problem]
    order = rng.permutation(len(kinds))
    twin, fails = None, 0
    for attempt in range(TRIES):
        fault = kinds[order[attempt % len(kinds)]]
        spec, draws = _suiting(seed, attempt, fault)
        run = train(spec)
        if not run.healthy:
            yield run, "healthy", "", {"rejected": f"score {run.score:.3f}"}
            continue
        twin = run
        yield twin, "healthy", "", {}
        run = train(fault.inject(twin.spec, draws))
        why = accepted(run, twin, fault)
        yield run, problem, fault.name, _label(twin, why)
        fails += bool(why)
        if not why or fails == 3:
            break
    if twin is None:
        return
    # A second fault that the same twin can have, of another problem.
    other = problems[(turn * 5 + 7) % len(problems)]
    kinds = [f for f in FAULTS if f.problem == other and f.suits(twin.spec)]
    if other == problem or not kinds:
        return
    fault = kinds[rng.integers(len(kinds))]
    run = train(fault.inject(twin.spec, rng))
    why = accepted(run, twin, fault)
    yield run, other, fault.name, _label(twin, why)


def _label(twin: Run, rejected: str) -> dict[str, Any]:
    label: dict[str, Any] = {"twin_score": twin.score}
    return label | {"rejected": rejected} if rejected else label


def store(
    run: Run, folder: pathlib.Path, name: str, label: dict[str, Any]
) -> None:
    """Write a run and its label into a folder."""
    label = label | {
        "spec": asdict(run.spec),
        "task": run.spec.task,
        "family": run.spec.family,
        "cell": run.spec.cell,
        "backend": keras.config.backend(),
        "score": run.score,
        "train_score": run.train_score,
        "chance": run.chance,
        "seconds": run.seconds,
        "found": run.found,
        "kinds": run.probe.kinds,
        "kernels": run.probe.kernels,
    }
    arrays = {
        f"probe:{key}": np.array(values, "float64")
        for key, values in run.probe.rows.items()
    }
    storage.save(folder / name, label, run.history, arrays)

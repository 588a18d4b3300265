"""Training both versions of a program under the doctor."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from benchmarks.doctor.peers import PEERS, View
from benchmarks.doctor.probe import Probe
from benchmarks.doctor.programs import scores
from benchmarks.doctor.programs.common import Program, Setup
from keras_ext.callbacks.training_doctor import TrainingDoctor
from keras_ext.doctor import Finding

# Optimizers whose steps the probe of the peers knows.
_KNOWN = ("SGD", "RMSprop", "Adam", "AdamW")
Entry = list[Any]


class Findings(keras.callbacks.Callback):
    """Keeps the doctor's findings after each epoch.

    Args:
        doctor: Stands before this callback in the list of `fit`.

    Attributes:
        epochs: For each epoch its findings, as `entry` returns them.
    """

    def __init__(self, doctor: TrainingDoctor):
        super().__init__()
        self.doctor = doctor
        self.epochs: list[list[Entry]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the findings."""
        self.epochs.append([entry(f) for f in self.doctor.findings])

    def changes(self) -> list[list[Any]]:
        """Return the epochs whose findings differ from those before."""
        before: list[Entry] = []
        changes = []
        for epoch, found in enumerate(self.epochs):
            if found != before:
                changes.append([epoch, found])
            before = found
        return changes


def entry(finding: Finding) -> Entry:
    """Return problem, severity and consequences of a finding."""
    return [
        finding.problem,
        finding.severity,
        [c.problem for c in finding.consequences],
    ]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silence the warnings that faulty programs cause."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def built(program: Program, repaired: bool, seed: int) -> Setup:
    """Return a version of a program, compiled."""
    keras.utils.set_random_seed(seed)
    setup = program.build(repaired)
    named = setup.score in ("accuracy", "balanced", "likelihood", "honesty")
    setup.model.compile(
        setup.optimizer,
        setup.loss,
        metrics=["accuracy"] if named else ["mae"],
    )
    return setup


def fitted(setup: Setup, callbacks: list[Any]) -> str:
    """Train; return what the backend raised, or nothing."""
    arrays = {"x": setup.data.x, "y": setup.data.y}
    arrays |= {"batch_size": setup.batch_size}
    if setup.batches is not None:
        arrays = {"x": setup.batches}
    try:
        setup.model.fit(
            **arrays,
            epochs=setup.epochs,
            callbacks=callbacks,
            verbose=0,
            **setup.fit,
        )
    except RuntimeError as error:  # PyTorch raises; others go on with NaN.
        return f"{type(error).__name__}: {error}"
    return ""


def trained(
    program: Program, repaired: bool, seed: int
) -> tuple[dict[str, Any], TrainingDoctor]:
    """Train a version under the doctor.

    Returns:
        What is kept of it, and the doctor.
    """
    setup = built(program, repaired, seed)
    doctor = TrainingDoctor(on_finding=lambda finding: None)
    findings = Findings(doctor)
    callbacks: list[Any] = [doctor, findings]
    probe = _probe(setup)
    if probe:
        callbacks.append(probe)
    start = time.process_time()
    raised = fitted(setup, callbacks)
    seconds = time.process_time() - start
    score, chance = scores.judged(setup)
    row = {
        "score": round(score, 4),
        "chance": round(chance, 4),
        "seconds": round(seconds, 1),
        "epochs": findings.changes(),
        "end": [entry(f) for f in doctor.findings],
        "withdrawn": [f.problem for f in doctor.withdrawn],
        "peers": _peers(doctor, probe),
    }
    return row | ({"raised": raised} if raised else {}), doctor


def _probe(setup: Setup) -> Probe | None:
    """Return what the peers look at, or nothing where it cannot be had."""
    kernels = [v for v in setup.model.trainable_variables if len(v.shape) > 1]
    nested = any(isinstance(x, keras.Model) for x in setup.model.layers)
    if type(setup.model.optimizer).__name__ not in _KNOWN or nested:
        return None
    x, y = setup.data.x[:128], setup.data.y[:128]
    return Probe(x, y) if kernels else None


def _peers(
    doctor: TrainingDoctor, probe: Probe | None
) -> dict[str, dict[str, list[str]]]:
    """Return, for each peer, what its symptoms could mean.

    `"first"` holds the problems of the first symptom, `"any"` those of all
    symptoms, and `"end"` those of the last epoch.
    """
    if probe is None or not probe.rows:
        return {}
    rows = {k: np.array(v, "float64") for k, v in probe.rows.items()}
    view = View(doctor.history, rows, probe.kinds)
    result = {}
    for name, rules in PEERS.items():
        epochs = [list(rules(view, e)) for e in range(view.epochs)]
        every = [symptom for epoch in epochs for symptom in epoch]
        result[name] = {
            "first": sorted(every[0]) if every else [],
            "any": sorted(set().union(*every)),
            "end": sorted(set().union(*epochs[-1])) if epochs else [],
        }
    return result


def pair(program: Program, seed: int) -> dict[str, Any]:
    """Return what is kept of a faulty and a repaired training."""
    with quietly():
        faulty, _ = trained(program, False, seed)
        repaired, _ = trained(program, True, seed)
    return {"faulty": faulty, "repaired": repaired}

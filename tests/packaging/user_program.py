"""What a person may write, to be type-checked against the wheel."""

from typing import reveal_type

import numpy as np

import keras_ext
from keras_ext.callbacks import GradientNormLogger, TrainingDoctor
from keras_ext.doctor import Finding
from keras_ext.tuners import RandomSearch


def told(finding: Finding) -> None:
    """Print the first thing that helps."""
    if finding.remedies:
        print(finding.problem, finding.remedies[0].change)


norms = GradientNormLogger(every_n_steps=5, layers=["hidden"])
doctor = TrainingDoctor(on_finding=told)
tuner = RandomSearch(lambda hp: hp, "val_loss", max_trials=3, experiment="e")

reveal_type(norms.steps["step"])
reveal_type(norms.epochs)
reveal_type(norms.plot())
reveal_type(doctor.findings)
reveal_type(doctor.report())
reveal_type(tuner)
reveal_type(keras_ext.losses.Huber().delta)
reveal_type(keras_ext.optimizers.Adam(epsilon_hat=False))
reveal_type(keras_ext.__version__)

largest: float = max(float(np.max(v)) for v in norms.epochs.values())

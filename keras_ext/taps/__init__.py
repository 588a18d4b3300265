"""Measuring inside the training step that `fit` runs.

README.md in this folder explains the design. The callbacks in
`keras_ext.callbacks` are the public interface. Nothing here imports MLflow.
"""

from keras_ext.taps.batch_gauge import BatchGauge as BatchGauge
from keras_ext.taps.capture import any_clips_by_value as any_clips_by_value
from keras_ext.taps.gauges import (
    ActivityGauge as ActivityGauge,
    Gauge as Gauge,
    GradientGauge as GradientGauge,
    OutputGauge as OutputGauge,
    UpdateGauge as UpdateGauge,
    WeightGauge as WeightGauge,
)
from keras_ext.taps.points import (
    ActivationPoint as ActivationPoint,
    WeightGroup as WeightGroup,
    activation_points as activation_points,
    select as select,
    weight_groups as weight_groups,
)
from keras_ext.taps.sampling import Sampling as Sampling
from keras_ext.taps.tap import Tap as Tap

"""Measuring inside the training step that `fit` runs.

README.md in this folder explains the design. The callbacks in
`keras_ext.callbacks` are the public interface. Nothing here imports MLflow.
"""

from keras_ext.taps.batch_gauge import BatchGauge as BatchGauge
from keras_ext.taps.capture import any_clips_by_value as any_clips_by_value
from keras_ext.taps.gauges import ActivityGauge as ActivityGauge
from keras_ext.taps.gauges import Gauge as Gauge
from keras_ext.taps.gauges import GradientGauge as GradientGauge
from keras_ext.taps.gauges import OutputGauge as OutputGauge
from keras_ext.taps.gauges import UpdateGauge as UpdateGauge
from keras_ext.taps.gauges import WeightGauge as WeightGauge
from keras_ext.taps.points import ActivationPoint as ActivationPoint
from keras_ext.taps.points import WeightGroup as WeightGroup
from keras_ext.taps.points import activation_points as activation_points
from keras_ext.taps.points import select as select
from keras_ext.taps.points import weight_groups as weight_groups
from keras_ext.taps.sampling import Sampling as Sampling
from keras_ext.taps.tap import Tap as Tap

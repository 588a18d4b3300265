"""Sending records, figures and findings to MLflow. Nothing here measures.

Importing this package imports neither MLflow nor Matplotlib; they are loaded
when they are first used.
"""

from keras_ext.tracking.client import TrackingError as TrackingError
from keras_ext.tracking.client import connect as connect
from keras_ext.tracking.environment import (
    environment_tags as environment_tags,
)
from keras_ext.tracking.figures import activation_heatmap as activation_heatmap
from keras_ext.tracking.figures import dead_unit_curves as dead_unit_curves
from keras_ext.tracking.figures import gradient_heatmap as gradient_heatmap
from keras_ext.tracking.figures import (
    parallel_coordinates as parallel_coordinates,
)
from keras_ext.tracking.figures import saturation_curves as saturation_curves
from keras_ext.tracking.figures import (
    update_ratio_heatmap as update_ratio_heatmap,
)
from keras_ext.tracking.keys import metric_key as metric_key
from keras_ext.tracking.optimization_history import (
    optimization_history as optimization_history,
)
from keras_ext.tracking.parameter_importance import (
    parameter_importance as parameter_importance,
)
from keras_ext.tracking.redaction import redact as redact
from keras_ext.tracking.trial_health import trial_health as trial_health
from keras_ext.tracking.writer import RunWriter as RunWriter

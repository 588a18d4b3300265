"""Figures from plain numbers.

The names below are public; the modules are not. Nothing here knows Keras or
MLflow. Matplotlib is loaded when a figure is drawn.
"""

from keras_ext.plots.layers_over_epochs import (
    activation_heatmap as activation_heatmap,
    dead_unit_curves as dead_unit_curves,
    gradient_heatmap as gradient_heatmap,
    saturation_curves as saturation_curves,
    update_ratio_heatmap as update_ratio_heatmap,
)
from keras_ext.plots.optimization_history import (
    optimization_history as optimization_history,
)
from keras_ext.plots.parallel_coordinates import (
    parallel_coordinates as parallel_coordinates,
)
from keras_ext.plots.parameter_importance import (
    parameter_importance as parameter_importance,
)
from keras_ext.plots.trial_health import trial_health as trial_health

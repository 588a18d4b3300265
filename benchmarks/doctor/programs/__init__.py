"""Published faulty programs with their repairs, rebuilt small."""

from benchmarks.doctor.programs import (
    capacity as capacity,
    class_layers as class_layers,
    epochs as epochs,
    frozen_layers as frozen_layers,
    hidden_units as hidden_units,
    initial_weights as initial_weights,
    input_scales as input_scales,
    loss_formulas as loss_formulas,
    output_layers as output_layers,
    pipelines as pipelines,
    rates_too_high as rates_too_high,
    rates_too_low as rates_too_low,
    softmax_units as softmax_units,
    target_scales as target_scales,
    unfit_losses as unfit_losses,
    weight_scales as weight_scales,
    wrong_labels as wrong_labels,
)
from benchmarks.doctor.programs.common import PROGRAMS as PROGRAMS

"""Published faulty programs with their repairs, rebuilt small."""

from benchmarks.doctor.programs import (
    capacity as capacity,
    class_layers as class_layers,
    epochs as epochs,
    hidden_units as hidden_units,
    initial_weights as initial_weights,
    labels as labels,
    losses as losses,
    output_layers as output_layers,
    pipelines as pipelines,
    rates_too_high as rates_too_high,
    rates_too_low as rates_too_low,
    scales as scales,
    softmax_units as softmax_units,
)
from benchmarks.doctor.programs.common import PROGRAMS as PROGRAMS

"""Healthy trainings of kinds that `doctor_bench` does not draw."""

from benchmarks.doctor.unusual import (
    classes as classes,
    numbers as numbers,
    others as others,
    words as words,
)
from benchmarks.doctor.unusual.common import CASES as CASES

"""Healthy trainings of kinds that `doctor_bench` does not draw."""

from benchmarks.doctor.unusual import classes as classes
from benchmarks.doctor.unusual import numbers as numbers
from benchmarks.doctor.unusual import others as others
from benchmarks.doctor.unusual import words as words
from benchmarks.doctor.unusual.common import CASES as CASES

"""What helps against a problem, with the line of code that does it."""

from keras_ext.doctor.remedies.table import remedies_for as remedies_for

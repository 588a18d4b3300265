"""What helps against a problem, with the line of code that does it."""

from keras_ext.doctor.remedies.choice import remedies_for as remedies_for

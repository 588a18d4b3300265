"""Models that others made, and the kinds that people know from keras.io."""

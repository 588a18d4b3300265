"""The parts of the training doctor's benchmark."""

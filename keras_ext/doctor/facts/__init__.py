"""What is known of a model and its data before training; they know Keras."""

"""`python -m tuning`."""

import sys

from .quiet import starting_quietly

try:
    with starting_quietly():
        import keras

        # Starts the backend, which has something to say of its own.
        keras.ops.convert_to_numpy(keras.ops.zeros(1))

        from keras_ext.cli.search import main
except KeyboardInterrupt:
    sys.exit(130)

sys.exit(main())

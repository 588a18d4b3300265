"""`python -m keras_ext.cli`."""

import sys

from keras_ext.cli import main

if __name__ == "__main__":
    sys.exit(main())

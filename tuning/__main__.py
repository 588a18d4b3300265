"""`python -m tuning`."""

import sys

from keras_ext.cli.search import main

sys.exit(main())

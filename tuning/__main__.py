"""`python -m tuning`."""

import sys

try:
    from tuning.cli import main
except KeyboardInterrupt:
    sys.exit(130)

sys.exit(main())

"""How many rows wait on the device until the host fetches them."""

# Most rows, and most numbers in them: half a megabyte of float32.
ROWS = 256
NUMBERS = 1 << 17


def rows_in_block(numbers: int) -> int:
    """Return how many rows of so many numbers are fetched together."""
    return max(1, min(ROWS, NUMBERS // max(numbers, 1)))

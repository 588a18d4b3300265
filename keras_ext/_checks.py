"""Errors about arguments, in Keras's wording."""

from typing import Any


def require(holds: bool, must: str, **arguments: Any) -> None:
    """Check one argument, or several that depend on each other.

    Args:
        holds: Whether the arguments are valid.
        must: What the first argument must do, such as `"be in [0, 1]"`.
        **arguments: The arguments, the one at fault first.

    Raises:
        ValueError: If `holds` is false.
    """
    if not holds:
        received = ", ".join(f"{k}={v}" for k, v in arguments.items())
        name = next(iter(arguments))
        raise ValueError(f"`{name}` must {must}. Received: {received}")

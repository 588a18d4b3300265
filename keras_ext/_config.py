"""Configs with arguments that the Keras class does not have."""

from typing import Any


class SavesArguments:
    """Adds the attributes that `SAVED` names to the config.

    It comes before the Keras class among the bases of a class.
    """

    SAVED: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()  # type: ignore[misc]
        return config | {name: getattr(self, name) for name in self.SAVED}

"""Writing a monitor's growing values to a run."""

from collections.abc import Mapping
from typing import Any

from keras_ext.tracking.writer import RunWriter


class EpochForwarder:
    """Writes each value of one monitor once.

    Args:
        monitor: Has `epochs`: for each key one value per epoch.
        is_behind: Whether the monitor runs after the forwarder: the values
            of an epoch then exist only when the next epoch ends.
        owners: For each key, the forwarder that writes it; shared by all
            forwarders of a run. The first one that meets a key gets it.
    """

    def __init__(self, monitor: Any, is_behind: bool, owners: dict[str, Any]):
        self.monitor = monitor
        self.is_behind = is_behind
        self._owners = owners
        self._epochs: dict[str, int] = {}

    def send_epochs(
        self, writer: RunWriter, last_epoch: int, written: Mapping[str, Any]
    ) -> None:
        """Write new epochs, without the values of `last_epoch` in `written`."""
        for key, values in self.monitor.epochs.items():
            if not self._owns(key):
                continue
            count = len(values)
            for index in range(self._epochs.get(key, 0), count):
                if index == count - 1 and key in written:
                    break
                epoch = last_epoch - (count - 1 - index)
                writer.metrics({key: values[index]}, epoch)
            self._epochs[key] = count

    def send_steps(self, writer: RunWriter, block: Mapping[str, Any]) -> None:
        """Write values of the single steps in `block["step"]`."""
        for key, values in block.items():
            if key != "step" and self._owns(key):
                writer.series(f"step/{key}", block["step"], values)

    def _owns(self, key: str) -> bool:
        return self._owners.setdefault(key, self) is self

"""The checks of a row: passed, failed with a reason, or not applicable."""

import dataclasses
from typing import Any

Row = dict[str, Any]

# Largest relative differences. Rounding is that of float32 after some steps.
ROUNDING, NORM, OUTPUTS = 1e-3, 1e-4, 1e-5


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The result of one check.

    Attributes:
        passed: `None` if the check does not apply.
        reason: Why it failed or does not apply.
    """

    passed: bool | None
    reason: str = ""


CHECKS = {
    "trains": "Plain Keras trains the model",
    "state": "Training with all monitors leaves the same numbers",
    "keys": "Each layer that a step uses has its own readable, finite key",
    "norm": "Global gradient norm of the first step equals autodiff's",
    "check": "`check` runs and changes no weight",
    "loads": "Plain Keras saves and loads the model",
    "convert": "`convert` keeps outputs and all of `compile`",
    "reload": "A fresh process loads the converted model",
}

# What has nothing to do with keras_ext.
OF_KERAS = ("trains", "loads")


def verdicts(row: Row, backend: str) -> dict[str, Verdict]:
    """Return the verdict of each check."""
    fails = row.get("fails", {})
    broken = fails.get("plain training") or fails.get("measuring")
    if broken:
        found = dict.fromkeys(CHECKS, Verdict(None, "does not train"))
        return found | {"trains": Verdict(False, broken)}
    return {"trains": Verdict(True), **_of_monitors(row, backend)} | {
        "check": _check(row),
        "loads": _loads(row),
        "convert": _convert(row),
        "reload": _reload(row),
    }


def _of_monitors(row: Row, backend: str) -> dict[str, Verdict]:
    error = row.get("fails", {}).get("monitors")
    if error or "unmonitored" in row:
        passed = False if error else None
        verdict = Verdict(passed, error or row["unmonitored"])
        return dict.fromkeys(("state", "keys", "norm"), verdict)
    if row.get("off_itself", 0.0) > NORM:
        verdict = Verdict(None, "the training does not repeat itself")
        return dict.fromkeys(("state", "keys", "norm"), verdict)
    return {
        "state": _state(row, backend),
        "keys": _keys(row),
        "norm": Verdict(
            row["norm_off"] <= NORM, f"{row['norm_off']} off {row['norm']}"
        ),
    }


def _state(row: Row, backend: str) -> Verdict:
    off = row.get("off", {})
    largest = max(off.values(), default=0.0)
    if not largest:
        return Verdict(True)
    if backend == "jax" and largest <= ROUNDING:
        return Verdict(True, f"{largest:.0e} off")
    rounding = row.get("off_rounding", 0.0)
    if largest <= 10 * rounding and row.get("off_op_by_op") == 0:
        return Verdict(True, f"rounding {rounding:.0e}, op by op bit-identical")
    if row.get("off_itself"):
        reason = "the training repeats itself to rounding only"
        return Verdict(None, f"{reason} ({row['off_itself']:.0e})")
    return Verdict(
        False, ", ".join(f"{key} {value:.0e} off" for key, value in off.items())
    )


def _keys(row: Row) -> Verdict:
    wrong = []
    if row["keys_positive"] != row["used"]:
        wrong.append(f"{row['keys_positive']} keys for {row['used']} layers")
    elif row["keys_off"] > 10 * NORM:
        wrong.append(f"norms of layers {row['keys_off']} off")
    for part in ("keys_unreadable", "keys_not_finite"):
        if row[part]:
            wrong.append(f"{part.replace('_', ' ')}: {row[part]}")
    return Verdict(not wrong, "; ".join(wrong))


def _check(row: Row) -> Verdict:
    error = row["fails"].get("check")
    changed = "it changes weights" if "check_changes" in row else ""
    return Verdict(not (error or changed), error or changed)


def _loads(row: Row) -> Verdict:
    if "plain_load" in row:
        return Verdict(False, row["plain_load"])
    lost = row.get("plain_load_differs")
    return Verdict(not lost, f"Keras loses: {', '.join(lost or [])}")


def _convert(row: Row) -> Verdict:
    error = row.get("fails", {}).get("convert")
    if error and "plain_load" in row:
        return Verdict(None, "Keras itself does not load the model")
    if error:
        return Verdict(False, error)
    wrong = list(row.get("convert_differs", []))
    if row["outputs_off"] > OUTPUTS:
        wrong.append(f"outputs {row['outputs_off']:.0e} off")
    return Verdict(not wrong, ", ".join(wrong))


def _reload(row: Row) -> Verdict:
    if "plain_load" in row:
        return Verdict(None, "Keras itself does not load the model")
    if "convert" in row.get("fails", {}):
        return Verdict(None, "not converted")
    error = row.get("converted_load") or row["fails"].get("loading")
    if error:
        return Verdict(False, error)
    lost = set(row.get("converted_load_differs", []))
    wrong = sorted(lost - set(row.get("plain_load_differs", [])))
    is_random = row.get("outputs_random")  # Keras saves no seed's state.
    if row.get("loaded_off", 1.0) > OUTPUTS and not is_random:
        wrong.append("outputs")
    return Verdict(not wrong, ", ".join(wrong))

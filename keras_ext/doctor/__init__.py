"""Rules that find what is wrong with a training run, and reports.

The rules are plain Python and NumPy. Only `check` loads Keras, when it is
first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ext.doctor.diagnose import Rule as Rule, diagnose as diagnose
from keras_ext.doctor.finding import (
    PROBLEMS as PROBLEMS,
    SEVERITIES as SEVERITIES,
    Finding as Finding,
    Remedy as Remedy,
)
from keras_ext.doctor.remedies import remedies_for as remedies_for
from keras_ext.doctor.run_history import (
    BatchFacts as BatchFacts,
    Facts as Facts,
    LayerFacts as LayerFacts,
    OutputFacts as OutputFacts,
    RunHistory as RunHistory,
)

if TYPE_CHECKING:
    from keras_ext.doctor.before_training import check as check


def __getattr__(name: str) -> Any:
    if name == "check":
        module = importlib.import_module("keras_ext.doctor.before_training")
        globals()["check"] = module.check
        return module.check
    raise AttributeError(f"module 'keras_ext.doctor' has no attribute {name!r}")

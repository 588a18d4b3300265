"""Rules that find what is wrong with a training run, and reports.

The rules are plain Python and NumPy. Only `check` loads Keras, when it is
first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_ext.doctor.diagnose import Rule as Rule
from keras_ext.doctor.diagnose import diagnose as diagnose
from keras_ext.doctor.finding import PROBLEMS as PROBLEMS
from keras_ext.doctor.finding import SEVERITIES as SEVERITIES
from keras_ext.doctor.finding import Finding as Finding
from keras_ext.doctor.finding import Remedy as Remedy
from keras_ext.doctor.remedies import remedies_for as remedies_for
from keras_ext.doctor.run_history import BatchFacts as BatchFacts
from keras_ext.doctor.run_history import Facts as Facts
from keras_ext.doctor.run_history import LayerFacts as LayerFacts
from keras_ext.doctor.run_history import OutputFacts as OutputFacts
from keras_ext.doctor.run_history import RunHistory as RunHistory

if TYPE_CHECKING:
    from keras_ext.doctor.before_training import check as check


def __getattr__(name: str) -> Any:
    if name == "check":
        module = importlib.import_module("keras_ext.doctor.before_training")
        globals()["check"] = module.check
        return module.check
    raise AttributeError(f"module 'keras_ext.doctor' has no attribute {name!r}")

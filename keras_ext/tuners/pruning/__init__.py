"""Ending trials that are hopeless or fall behind."""

from keras_ext.tuners.pruning.pruners import ASHAPruner as ASHAPruner
from keras_ext.tuners.pruning.pruners import MedianPruner as MedianPruner
from keras_ext.tuners.pruning.pruners import Pruner as Pruner
from keras_ext.tuners.pruning.pruners import TrialHistory as TrialHistory
from keras_ext.tuners.pruning.pruners import get_pruner as get_pruner

"""Sending metrics, figures and files to MLflow. Nothing here measures.

The names below are public; the modules are not. Importing this package does
not import MLflow, which is loaded at its first use.
"""

from keras_ext.tracking.client import (
    TrackingError as TrackingError,
    connect as connect,
)
from keras_ext.tracking.environment import (
    environment_tags as environment_tags,
)
from keras_ext.tracking.keys import metric_key as metric_key
from keras_ext.tracking.redaction import redact as redact
from keras_ext.tracking.runs import create_run as create_run
from keras_ext.tracking.writer import RunWriter as RunWriter

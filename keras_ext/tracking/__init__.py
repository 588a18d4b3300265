"""Sending messages, figures and findings to MLflow. Nothing here measures.

Importing this package does not import MLflow; it is loaded when it is first
used.
"""

from keras_ext.tracking.client import TrackingError as TrackingError
from keras_ext.tracking.client import connect as connect
from keras_ext.tracking.environment import (
    environment_tags as environment_tags,
)
from keras_ext.tracking.keys import metric_key as metric_key
from keras_ext.tracking.redaction import redact as redact
from keras_ext.tracking.writer import RunWriter as RunWriter

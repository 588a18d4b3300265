"""Findings as text and as a page."""

from keras_ext.doctor.report.page import html as html
from keras_ext.doctor.report.terminal import text as text, write as write

"""Ready searches on the public API: `python -m tuning digits`.

Each search has one file, with its data and the space of its models. In the
wheel this folder is `keras_ext.tuning`, which `keras-ext search` uses.
"""

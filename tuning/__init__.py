"""Ready searches on the public API: `python -m tuning digits`.

Each search has one file: its data, and the space of its models. The wheel has
this folder as `keras_ext.tuning`, for `keras-ext search`.
"""

"""Ready searches on the public API: `python -m tuning digits`.

A file per search says what is learnt and which models are tried; the wheel
holds the folder as `keras_ext.tuning`, for `keras-ext search`.
"""

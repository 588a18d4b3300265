"""Figures as images."""

import io
import math
from typing import Any

from keras_ext._optional import require

_COMPRESSION = 3  # of 9; Pillow's default is 6
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def png(figure: Any, dpi: int) -> bytes:
    """Return a figure as a PNG image.

    A figure with a layout engine is drawn once; `savefig` draws it twice. Nor
    is time spent on making a file of some dozen kilobytes a tenth smaller.

    Args:
        figure: A `matplotlib.figure.Figure`.
        dpi: Pixels per inch.

    Raises:
        ImportError: Matplotlib is missing.
    """
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas, before = figure.canvas, figure.dpi
    image = io.BytesIO()
    try:
        figure.dpi = dpi
        options = {"compress_level": _COMPRESSION}
        FigureCanvasAgg(figure).print_png(image, pil_kwargs=options)
    finally:
        figure.set_canvas(canvas)
        figure.dpi = before
    return image.getvalue()


def power_of_ten(value: float, place: Any = None) -> str:
    """Return the label of a tick at a power of ten.

    Matplotlib's own is a formula: setting those takes longer than the rest of
    a small figure.

    Args:
        value: A power of ten.
        place: The tick's place, which matplotlib passes.
    """
    return "10" + str(round(math.log10(value))).translate(_RAISED)

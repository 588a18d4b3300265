"""Helpers of all figures, and figures as images."""

import io
import math
from typing import Any

from keras_ext._optional import require

_COMPRESSION = 3  # of 9; Pillow's default is 6
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def image(figure: Any, kind: str, dpi: int) -> bytes:
    """Return a figure as an image.

    Args:
        figure: A `matplotlib.figure.Figure`.
        kind: A format that Matplotlib knows, such as `"png"` or `"svg"`.
        dpi: Pixels per inch.
    """
    if kind == "png":
        return png(figure, dpi)
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=dpi)
    return file.getvalue()


def png(figure: Any, dpi: int) -> bytes:
    """Return a figure as a PNG image, faster than `savefig`.

    `savefig` draws a figure with a layout engine twice, and compresses more.
    """
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas, before = figure.canvas, figure.dpi
    file = io.BytesIO()
    try:
        figure.dpi = dpi
        options = {"compress_level": _COMPRESSION}
        FigureCanvasAgg(figure).print_png(file, pil_kwargs=options)
    finally:
        figure.set_canvas(canvas)
        figure.dpi = before
    return file.getvalue()


def power_of_ten(value: float, place: Any = None) -> str:
    """Return the label of a tick at a power of ten, as plain text.

    Matplotlib's own label is a formula, which takes longer to draw than the
    rest of a small figure. Matplotlib passes the tick's `place`.
    """
    return "10" + str(round(math.log10(value))).translate(_RAISED)

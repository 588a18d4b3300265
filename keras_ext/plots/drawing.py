"""Parts that figures share, and figures as images.

Figures use Matplotlib's object interface, not pyplot: they change neither the
person's backend nor the list of open figures.
"""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ext._optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COMPRESSION = 3  # of 9; Pillow's default is 6
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# The colours span at least this many powers of ten: layers that are nearly
# alike must not look as different as possible.
_LEAST_DECADES = 3
_SPECIAL = (
    ("#dddddd", "////", "exactly 0"),
    ("#d55e00", "xxxx", "NaN or infinite"),
)


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches.

    Raises:
        ImportError: Matplotlib is missing.
    """
    require("matplotlib")
    from matplotlib.figure import Figure

    return Figure(figsize=(float(width), float(height)), layout="constrained")


def add_legend(figure: Any, place: str = "lower center", **more: Any) -> None:
    """Add a legend outside the axes, without a frame."""
    place = f"outside {place}"
    figure.legend(loc=place, frameon=False, fontsize=9, **more)


def count_along_x(axes: Any) -> None:
    """Let the ticks of the horizontal axis be whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def log_mesh(
    axes: Any,
    edges: Sequence[np.ndarray],
    values: np.ndarray,
    is_measured: np.ndarray,
    label: str,
    decades: tuple[float, float] = (12, 12),
    with_hatches: bool = False,
) -> list[Any]:
    """Draw a mesh with a logarithmic scale of colours.

    A value of exactly 0 is grey, NaN or infinity orange; a cell that was not
    measured stays white.

    Args:
        axes: Where to draw.
        edges: Edges of the columns and of the rows.
        values: The values, of shape `(rows, columns)`.
        is_measured: Where a value was measured, even if it is NaN.
        label: Label of the scale.
        decades: Most powers of ten of the scale below and above the median:
            one exploded value must not leave a single colour for all others.
        with_hatches: Whether to hatch the cells of special values.

    Returns:
        Handles for a legend of the special values.
    """
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.patches import Patch

    usual = np.isfinite(values) & (values > 0)
    if usual.any():
        low, high, extend = _color_limits(values[usual], *decades)
        mesh = axes.pcolormesh(
            *edges,
            np.ma.masked_where(~usual, values),
            norm=LogNorm(low, high),
            cmap="viridis",
        )
        bar = axes.figure.colorbar(
            mesh,
            ax=axes,
            extend=extend,
            pad=0.02,
            aspect=30,
            format=_power_of_ten,
        )
        bar.minorticks_off()
        bar.set_label(label)
    handles = []
    masks = (values == 0, is_measured & ~np.isfinite(values))
    for mask, (color, hatch, meaning) in zip(masks, _SPECIAL, strict=True):
        if mask.any():
            hatches: dict[str, Any] = {"hatch": hatch} if with_hatches else {}
            draw = axes.pcolor if with_hatches else axes.pcolormesh
            cells = np.ma.masked_where(~mask, np.zeros_like(values))
            draw(*edges, cells, cmap=ListedColormap([color]), **hatches)
            handles.append(Patch(fc=color, label=meaning, lw=0, **hatches))
    return handles


def _color_limits(
    values: np.ndarray, below: float, above: float
) -> tuple[float, float, str]:
    """Return limits of the colours, and which ends are cut off."""
    middle = np.log10(np.median(values))
    lowest, highest = np.log10(values.min()), np.log10(values.max())
    low, high = max(lowest, middle - below), min(highest, middle + above)
    missing = max(0.0, _LEAST_DECADES - (high - low)) / 2
    low, high = low - missing, high + missing
    cut = int(low > lowest) + 2 * int(high < highest)
    return 10.0**low, 10.0**high, ("neither", "min", "max", "both")[cut]


def _power_of_ten(value: float, place: Any = None) -> str:
    # As plain text: Matplotlib's own label is a formula, which takes longer
    # to draw than the rest of a small figure.
    return "10" + str(round(math.log10(value))).translate(_RAISED)


def image(figure: Any, kind: str, dpi: int) -> bytes:
    """Return a figure as an image of a kind such as `"png"` or `"svg"`."""
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

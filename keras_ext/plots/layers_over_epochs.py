"""Figures of layers over epochs or steps.

Their colours are distinct for every kind of colour vision.
"""

from typing import TYPE_CHECKING

from keras_ext.plots.curves import share_curves
from keras_ext.plots.heatmap import heatmap
from keras_ext.plots.layer_series import Series, Steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gradient_heatmap(
    epochs: Series,
    title: str = "Gradient norm per layer and epoch",
    steps: Steps = None,
) -> "Figure":
    """Return a heat map of gradient norms, layers by time.

    The first layer is on top; `global`, all layers together, at the bottom.
    Colours are logarithmic and span three powers of ten or more. A norm of
    exactly 0 is grey and hatched, NaN or infinity orange and crossed, and a
    missing norm white. In a series that is too long for single columns, each
    column shows the largest of several norms.

    How to read it: colours that fade towards the top are a vanishing
    gradient; a row of zeros is a layer that does not learn.

    Args:
        epochs: For each layer (`<layer>` or `grad_norm/<layer>`), L2 norms,
            one value per epoch, such as `GradientNormLogger().epochs`.
        title: Title of the figure. Defaults to
            `"Gradient norm per layer and epoch"`.
        steps: The training steps of the norms, if they are norms of single
            steps. Defaults to `None`.

    Returns:
        The figure.

    Raises:
        ValueError: `epochs` is empty.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots import gradient_heatmap
        >>> figure = gradient_heatmap({"grad_norm/dense": [0.1, 0.01]})
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['', 'gradient norm (L2)']
    """
    return heatmap(epochs, "grad_norm/", "gradient norm (L2)", title, steps)


def update_ratio_heatmap(
    epochs: Series,
    title: str = "Update ratio per layer",
    steps: Steps = None,
) -> "Figure":
    """Return a heat map of update ratios, in the style of `gradient_heatmap`.

    How to read it: a row whose colour differs from the other rows is a layer
    whose steps are too large or too small for its weights.

    Args:
        epochs: For each layer (`<layer>` or `update_ratio/<layer>`), ratios,
            one value per epoch, such as `UpdateRatioLogger().epochs`.
        title: Title of the figure. Defaults to `"Update ratio per layer"`.
        steps: The training steps of the ratios, if they are ratios of single
            steps. Defaults to `None`.

    Returns:
        The figure.

    Raises:
        ValueError: `epochs` is empty.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots import update_ratio_heatmap
        >>> figure = update_ratio_heatmap({"w": [0.1, 0.01]}, steps=[0, 10])
        >>> figure.axes[0].get_xlabel()
        'training step'
    """
    return heatmap(
        epochs, "update_ratio/", "update ratio ‖Δw‖ / ‖w‖", title, steps
    )


def activation_heatmap(
    epochs: Series,
    title: str = "Standard deviation of activations per layer",
    steps: Steps = None,
) -> "Figure":
    """Return a heat map of deviations, in the style of `gradient_heatmap`.

    How to read it: colours that fade or brighten from top to bottom show that
    the scale of the initial weights does not fit the depth.

    Args:
        epochs: For each layer (`<layer>` or `activation_std/<layer>`),
            standard deviations, one value per epoch.
        title: Title of the figure. Defaults to
            `"Standard deviation of activations per layer"`.
        steps: The training steps of the values, if they are values of single
            steps. Defaults to `None`.

    Returns:
        The figure.

    Raises:
        ValueError: `epochs` is empty.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots import activation_heatmap
        >>> figure = activation_heatmap({"dense": [0.1, 0.01]})
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['', 'standard deviation']
    """
    return heatmap(
        epochs, "activation_std/", "standard deviation", title, steps
    )


def dead_unit_curves(
    epochs: Series,
    title: str = "Dead units per layer",
    steps: Steps = None,
) -> "Figure":
    """Return curves of the share of dead units over time.

    With more than 18 layers, only those with the largest last values are
    coloured and named; the others are thin and grey.

    Args:
        epochs: For each layer (`<layer>` or `dead_relu/<layer>`), shares
            between 0 and 1, one value per epoch, such as
            `DeadReLULogger().epochs`.
        title: Title of the figure. Defaults to `"Dead units per layer"`.
        steps: The training steps of the shares, if they are shares of single
            steps. Defaults to `None`.

    Returns:
        The figure.

    Raises:
        ValueError: `epochs` is empty.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots import dead_unit_curves
        >>> figure = dead_unit_curves({"dead_relu/relu": [0.0, 0.25]})
        >>> figure.axes[0].get_ylabel()
        'dead units (share)'
    """
    return share_curves(
        epochs, "dead_relu/", "dead units (share)", title, steps
    )


def saturation_curves(
    epochs: Series,
    title: str = "Saturated outputs per layer",
    steps: Steps = None,
) -> "Figure":
    """Return curves of the share of saturated outputs over time.

    Args:
        epochs: For each layer (`<layer>` or `saturation/<layer>`), shares
            between 0 and 1, one value per epoch, such as
            `ActivationLogger().epochs`.
        title: Title of the figure. Defaults to
            `"Saturated outputs per layer"`.
        steps: The training steps of the shares, if they are shares of single
            steps. Defaults to `None`.

    Returns:
        The figure.

    Raises:
        ValueError: `epochs` is empty.
        ImportError: Matplotlib is missing.

    Example:
        >>> from keras_ext.plots import saturation_curves
        >>> figure = saturation_curves({"saturation/gate": [0.0, 0.25]})
        >>> figure.axes[0].get_ylabel()
        'saturated outputs (share)'
    """
    return share_curves(
        epochs, "saturation/", "saturated outputs (share)", title, steps
    )

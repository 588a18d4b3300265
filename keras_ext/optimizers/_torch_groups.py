"""Grouping tensors whose updates PyTorch can do in one call."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch

from keras_ext.optimizers import _plain

Tensor = Any

# The fused kernels wake all threads, which takes longer than the update of
# fewer numbers.
_LARGE = 2**14


class Optimizer(_plain.Optimizer):
    """Updates all variables of one dtype and device together."""

    _accumulated_gradients: list[Any]
    _alike: bool

    def build(self, variables: list[Any]) -> None:
        """Creates the optimizer's variables."""
        super().build(variables)
        # Asking every tensor in every step would take longer than an update
        # of a small one.
        self._alike = len({variable.dtype for variable in variables}) == 1

    def _group_step(
        self,
        grads: list[Tensor],
        w: list[Tensor],
        variables: list[Any],
        learning_rate: Tensor,
    ) -> None:
        """Updates weights of one dtype on one device, `w` of `variables`."""
        raise NotImplementedError

    @torch.no_grad()
    def _backend_update_step(
        self,
        grads: list[Tensor],
        trainable_variables: list[Any],
        learning_rate: Tensor,
    ) -> None:
        # A person's own `update_step` counts, not the kernel.
        owner = getattr(self.update_step, "__module__", None) or ""
        if not owner.startswith("keras_ext."):
            super()._backend_update_step(
                grads, trainable_variables, learning_rate
            )
            return
        w = tensors_of(trainable_variables)
        if self._alike and w[0].is_cpu and w[0].dtype == grads[0].dtype:
            self._group_step(grads, w, trainable_variables, learning_rate)
            return
        groups: dict[Any, Any] = defaultdict(lambda: ([], [], []))
        for grad, value, variable in zip(
            grads, w, trainable_variables, strict=True
        ):
            group = groups[value.dtype, value.device]
            group[0].append(grad.to(value))
            group[1].append(value)
            group[2].append(variable)
        for g, values, variables in groups.values():
            self._group_step(g, values, variables, learning_rate)

    def _values(self, state: list[Any], variables: list[Any]) -> list[Tensor]:
        """Returns the tensors of the variables' optimizer variables."""
        return tensors_of(
            [state[self._get_variable_index(v)] for v in variables]
        )

    @torch.no_grad()
    def _backend_reset_gradient_accumulators(self) -> None:
        torch._foreach_zero_(
            [a.value for a in self._accumulated_gradients if a is not None]
        )

    @torch.no_grad()
    def _backend_increment_gradient_accumulators(
        self, grads: list[Tensor], acc_grads: list[Any]
    ) -> None:
        torch._foreach_add_([a.value for a in acc_grads], list(grads))


def tensors_of(variables: list[Any]) -> list[Tensor]:
    """Returns the variables' tensors.

    `value` looks for scopes that may replace it, which takes longer than the
    update of a small tensor. If none replaces the first, none does others.
    """
    first = variables[0]
    if first.value is vars(first).get("_value"):
        return [variable._value for variable in variables]
    return [variable.value for variable in variables]


def parts(*lists: list[Tensor]) -> Iterator[tuple[bool, list[list[Tensor]]]]:
    """Splits lists of tensors into those for a fused kernel and the others.

    The first list decides, and the kernel does not write to the second.
    """
    # GPUs keep to `_foreach`, as in Keras, and so does `torch.compile`, which
    # cannot trace the fused kernels. These go through memory in order,
    # whatever the strides say, and are silently wrong where they differ.
    if torch.compiler.is_compiling() or not all(
        tensor.is_cpu and tensor.is_contiguous()
        for i, tensors in enumerate(lists)
        for tensor in tensors
        if i != 1
    ):
        yield False, list(lists)
        return
    # In half precision they alone do not round the decays.
    large = [
        tensor.numel() >= _LARGE or tensor.element_size() < 4
        for tensor in lists[0]
    ]
    for fused in (True, False):
        if fused in large:
            yield (
                fused,
                [
                    [
                        x
                        for x, y in zip(tensors, large, strict=True)
                        if y is fused
                    ]
                    for tensors in lists
                ],
            )


def subtract_quotients(
    w: list[Tensor], a: list[Tensor], b: Any, lr: Tensor
) -> None:
    """Subtracts `lr * a / b` from `w`; overwrites `b`."""
    if w[0].is_cpu and not torch.compiler.is_compiling():
        torch._foreach_addcdiv_(w, a, b, value=-float(lr))
        return
    # Reading a number from a GPU would wait for it.
    torch._foreach_div_(b, -lr.to(w[0].dtype))
    torch._foreach_addcdiv_(w, a, b)

"""Grouping tensors whose updates PyTorch can do in one call."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch

from keras_ext.optimizers import _plain

Tensor = Any
Tensors = list[Any]

# For fewer numbers, waking all threads takes a fused kernel longer than the
# update itself.
_LARGE = 2**14


class Optimizer(_plain.Optimizer):
    """Updates all variables of one dtype and device together."""

    _accumulated_gradients: list[Any]
    _alike: bool

    def build(self, variables: list[Any]) -> None:
        """Create the optimizer's variables."""
        super().build(variables)
        # Reading every dtype in every step would take longer than the update
        # of a small variable.
        self._alike = len({variable.dtype for variable in variables}) == 1

    def _group_step(
        self, grads: Tensors, w: Tensors, variables: list[Any], lr: Tensor
    ) -> None:
        """Update weights `w` of `variables`, of one dtype on one device."""
        raise NotImplementedError

    @torch.no_grad()
    def _backend_update_step(
        self,
        grads: Tensors,
        trainable_variables: list[Any],
        learning_rate: Tensor,
    ) -> None:
        # A subclass may override `update_step`; then the kernel must not run.
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

    @torch.no_grad()
    def _apply_weight_decay(self, variables: list[Any]) -> None:
        if not self.weight_decay:
            return
        variables = [v for v in variables if self._use_weight_decay(v)]
        if not variables:
            return
        w = tensors_of(variables)
        share = self.weight_decay * self.learning_rate
        if all(x.is_cpu for x in w) and not torch.compiler.is_compiling():
            # One pass, as exact as the formula. In float32 a factor
            # `1 - share` would round the share.
            torch._foreach_add_(w, w, alpha=-float(share))
            return
        whole = [x for x in w if x.element_size() >= 4]
        half = [
            v for v, x in zip(variables, w, strict=True) if x.element_size() < 4
        ]
        if whole:
            torch._foreach_mul_(whole, 1 - share)
        super()._apply_weight_decay(half)

    def _values(self, state: list[Any], variables: list[Any]) -> Tensors:
        """Return the tensors of the variables' optimizer variables."""
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
        self, grads: Tensors, acc_grads: list[Any]
    ) -> None:
        torch._foreach_add_([a.value for a in acc_grads], list(grads))


def tensors_of(variables: list[Any]) -> Tensors:
    """Return the variables' tensors.

    `value` checks for scopes that replace it, which takes longer than the
    update of a small tensor. A scope that does not replace the first does
    not replace the others.
    """
    first = variables[0]
    if first.value is vars(first).get("_value"):
        return [variable._value for variable in variables]
    return [variable.value for variable in variables]


def parts(*lists: Tensors) -> Iterator[tuple[bool, list[Tensors]]]:
    """Split lists of tensors into those for a fused kernel and the others.

    The first list decides, and the kernel does not write to the second.
    """
    # GPUs use `_foreach`, as in Keras, and so does `torch.compile`, which
    # cannot trace the fused kernels. The fused kernels ignore strides: they
    # are silently wrong where the strides of two tensors differ.
    if torch.compiler.is_compiling() or not all(
        tensor.is_cpu and tensor.is_contiguous()
        for i, tensors in enumerate(lists)
        for tensor in tensors
        if i != 1
    ):
        yield False, list(lists)
        return
    # In half precision only the fused kernels do not round the decays.
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


def subtract_quotients(w: Tensors, a: Tensors, b: Any, lr: Tensor) -> None:
    """Subtract `lr * a / b` from `w`; overwrite `b`."""
    if w[0].is_cpu and not torch.compiler.is_compiling():
        torch._foreach_addcdiv_(w, a, b, value=-float(lr))
        return
    # Reading a number from a GPU would wait for the GPU.
    torch._foreach_div_(b, -lr.to(w[0].dtype))
    torch._foreach_addcdiv_(w, a, b)

"""Optimizer updates of many tensors in one call, for PyTorch.

Keras gives its own optimizers such updates by exact class, so a subclass of
one would fall back to a loop over the variables.
"""

import math
from collections import defaultdict
from typing import Any

import torch
from keras import ops

from keras_ext.optimizers import _plain

Tensor = Any


class Optimizer(_plain.Optimizer):
    """Updates all variables of one dtype and device together."""

    _accumulated_gradients: list[Any]

    def _group_step(
        self,
        grads: list[Tensor],
        w: list[Tensor],
        indices: list[int],
        learning_rate: Tensor,
    ) -> None:
        """Updates weights of one dtype on one device.

        `indices` are those of the weights' optimizer variables.
        """
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
        groups: dict[Any, Any] = defaultdict(lambda: ([], [], []))
        for grad, variable in zip(grads, trainable_variables, strict=True):
            value = variable.value
            g, w, indices = groups[value.dtype, value.device]
            g.append(grad if grad.dtype == value.dtype else grad.to(value))
            w.append(value)
            indices.append(self._get_variable_index(variable))
        for g, w, indices in groups.values():
            self._group_step(g, w, indices, learning_rate)

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


def _suits_fused(*lists: list[Tensor]) -> bool:
    # GPUs keep to `_foreach`, as in Keras, and so does `torch.compile`, which
    # cannot trace the fused kernels. These go through memory in order,
    # whatever the strides say, and are silently wrong where they differ.
    if torch.compiler.is_compiling() or not lists[0][0].is_cpu:
        return False
    return all(
        tensor.is_contiguous() for tensors in lists for tensor in tensors
    )


class AdamKernel(Optimizer):
    """`_fused_adam_` on the CPU, `_foreach` elsewhere."""

    beta_1: Any
    beta_2: Any
    epsilon: float
    amsgrad: bool
    epsilon_hat: bool
    _momentums: list[Any]
    _velocities: list[Any]
    _velocity_hats: list[Any]

    def _group_step(
        self,
        grads: list[Tensor],
        w: list[Tensor],
        indices: list[int],
        learning_rate: Tensor,
    ) -> None:
        m = [self._momentums[i].value for i in indices]
        v = [self._velocities[i].value for i in indices]
        v_hat = []
        if self.amsgrad:
            v_hat = [self._velocity_hats[i].value for i in indices]

        dtype = _plain.compute_dtype(w[0].dtype)
        lr, beta_1_power, beta_2_power, epsilon = self._shared_scalars(
            dtype, learning_rate
        )
        alpha = lr * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)
        b1, b2 = float(self.beta_1), float(self.beta_2)

        if _suits_fused(w, m, v, v_hat):
            # The kernel is algorithm 1. After infinitely many steps there is
            # no bias left to correct: with the corrections in the learning
            # rate, it is the form with epsilon hat.
            step = torch.tensor(math.inf, device="cpu")
            if not self.epsilon_hat:
                step = ops.cast(self.iterations + 1, "float32")
                alpha = lr
            torch._fused_adam_(
                w,
                [g.contiguous() for g in grads],
                m,
                v,
                v_hat,
                [step] * len(w),
                lr=alpha,
                beta1=b1,
                beta2=b2,
                weight_decay=0.0,
                eps=float(self.epsilon),
                amsgrad=self.amsgrad,
                maximize=False,
            )
            return

        torch._foreach_lerp_(m, grads, 1 - b1)
        torch._foreach_mul_(v, b2)
        torch._foreach_addcmul_(v, grads, grads, 1 - b2)
        if self.amsgrad:
            torch._foreach_maximum_(v_hat, v)
            v = v_hat
        denominator = torch._foreach_sqrt(v)
        torch._foreach_add_(denominator, epsilon.to(w[0].dtype))
        torch._foreach_div_(denominator, -alpha.to(w[0].dtype))
        torch._foreach_addcdiv_(w, m, denominator)

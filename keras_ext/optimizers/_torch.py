"""Optimizer updates of many tensors in one call, for PyTorch.

Keras has such updates for the exact classes of its own optimizers, so that a
subclass would fall back to a loop over the variables.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from keras import ops

from keras_ext.optimizers import _plain
from keras_ext.optimizers._torch_groups import (
    Optimizer,
    parts,
    subtract_quotients,
)

Tensor = Any
Tensors = list[Any]


class SGDKernel(Optimizer):
    """`_fused_sgd_` for momentum of large variables on the CPU.

    `_foreach` otherwise; there it is as fast.
    """

    momentum: float
    nesterov: bool
    momentums: list[Any]

    def _group_step(
        self, grads: Tensors, w: Tensors, variables: list[Any], lr: Tensor
    ) -> None:
        lr = float(lr)
        if self.momentum == 0:
            torch._foreach_add_(w, grads, alpha=-lr)
            return
        v = self._values(self.momentums, variables)
        # The kernel is wrong in half precision.
        exact = w[0].dtype in (torch.float32, torch.float64)
        if self.nesterov or not exact:
            self._foreach_step(w, grads, v, lr)
            return
        for fused, (some_w, some_grads, some_v) in parts(w, grads, v):
            if not fused:
                self._foreach_step(some_w, some_grads, some_v, lr)
                continue
            # The kernel sums gradients and subtracts the sums from the
            # weights. Keras sums steps, which already have the sign.
            torch._fused_sgd_(
                some_w,
                [g.contiguous() for g in some_grads],
                some_v,
                weight_decay=0.0,
                momentum=self.momentum,
                lr=-1.0,
                dampening=1 + lr,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )

    def _foreach_step(
        self, w: Tensors, grads: Tensors, v: Tensors, lr: float
    ) -> None:
        torch._foreach_mul_(v, self.momentum)
        torch._foreach_add_(v, grads, alpha=-lr)
        if self.nesterov:
            torch._foreach_add_(w, v, alpha=self.momentum)
            torch._foreach_add_(w, grads, alpha=-lr)
        else:
            torch._foreach_add_(w, v)


class AdagradKernel(Optimizer):
    """`_foreach`: `_fused_adagrad_` has epsilon outside the root."""

    epsilon: float
    epsilon_inside_root: bool
    _accumulators: list[Any]

    def _group_step(
        self, grads: Tensors, w: Tensors, variables: list[Any], lr: Tensor
    ) -> None:
        dtype = _plain.compute_dtype(w[0].dtype)
        lr, _ = self._shared_scalars(dtype, lr)
        s = self._values(self._accumulators, variables)

        torch._foreach_addcmul_(s, grads, grads)
        if self.epsilon_inside_root:
            denominator = torch._foreach_add(s, self.epsilon)
            torch._foreach_sqrt_(denominator)
        else:
            denominator = torch._foreach_sqrt(s)
            torch._foreach_add_(denominator, self.epsilon)
        subtract_quotients(w, grads, denominator, lr)


class RMSpropKernel(Optimizer):
    """`_foreach`."""

    rho: float
    momentum: float
    epsilon: float
    centered: bool
    _velocities: list[Any]
    _momentums: list[Any]
    _average_gradients: list[Any]

    def _group_step(
        self, grads: Tensors, w: Tensors, variables: list[Any], lr: Tensor
    ) -> None:
        dtype = _plain.compute_dtype(w[0].dtype)
        lr, *_ = self._shared_scalars(dtype, lr)
        s = self._values(self._velocities, variables)

        torch._foreach_mul_(s, self.rho)
        torch._foreach_addcmul_(s, grads, grads, 1 - self.rho)
        if self.centered:
            m = self._values(self._average_gradients, variables)
            torch._foreach_lerp_(m, grads, 1 - self.rho)
            denominator = torch._foreach_addcmul(s, m, m, -1)
            torch._foreach_clamp_min_(denominator, 0)
            torch._foreach_add_(denominator, self.epsilon)
        else:
            denominator = torch._foreach_add(s, self.epsilon)
        torch._foreach_sqrt_(denominator)
        if self.momentum == 0:
            subtract_quotients(w, grads, denominator, lr)
            return
        v = self._values(self._momentums, variables)
        torch._foreach_mul_(v, self.momentum)
        subtract_quotients(v, grads, denominator, -lr)
        torch._foreach_sub_(w, v)


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
        self, grads: Tensors, w: Tensors, variables: list[Any], lr: Tensor
    ) -> None:
        state = [self._momentums, self._velocities]
        if self.amsgrad:
            state.append(self._velocity_hats)
        lists = [
            self._values(variables_of, variables) for variables_of in state
        ]

        dtype = _plain.compute_dtype(w[0].dtype)
        lr, beta_1_power, beta_2_power, epsilon = self._shared_scalars(
            dtype, lr
        )
        alpha = lr * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)
        for fused, (some_w, some_grads, m, v, *v_hat) in parts(
            w, grads, *lists
        ):
            if fused:
                self._fused_step(
                    some_w, some_grads, m, v, *v_hat, lr=lr, alpha=alpha
                )
            else:
                self._foreach_step(
                    some_w,
                    some_grads,
                    m,
                    v,
                    *v_hat,
                    alpha=alpha,
                    epsilon=epsilon,
                )

    def _fused_step(
        self,
        w: Tensors,
        grads: Tensors,
        m: Tensors,
        v: Tensors,
        v_hat: Sequence[Tensor] = (),
        *,
        lr: Tensor,
        alpha: Tensor,
    ) -> None:
        # The kernel is algorithm 1. After infinitely many steps it corrects
        # no bias; with the corrections in the learning rate instead, it
        # computes the form with epsilon hat.
        step = torch.tensor(math.inf, device="cpu")
        if not self.epsilon_hat:
            step = ops.cast(self.iterations + 1, "float32")
        torch._fused_adam_(
            w,
            [g.contiguous() for g in grads],
            m,
            v,
            list(v_hat),
            [step] * len(w),
            lr=alpha if self.epsilon_hat else lr,
            beta1=float(self.beta_1),
            beta2=float(self.beta_2),
            weight_decay=0.0,
            eps=float(self.epsilon),
            amsgrad=self.amsgrad,
            maximize=False,
        )

    def _foreach_step(
        self,
        w: Tensors,
        grads: Tensors,
        m: Tensors,
        v: Tensors,
        v_hat: Sequence[Tensor] = (),
        *,
        alpha: Tensor,
        epsilon: Tensor,
    ) -> None:
        torch._foreach_lerp_(m, grads, 1 - float(self.beta_1))
        torch._foreach_mul_(v, float(self.beta_2))
        torch._foreach_addcmul_(v, grads, grads, 1 - float(self.beta_2))
        if self.amsgrad:
            v_hat = list(v_hat)
            torch._foreach_maximum_(v_hat, v)
            v = v_hat
        denominator = torch._foreach_sqrt(v)
        torch._foreach_add_(denominator, epsilon.to(w[0].dtype))
        subtract_quotients(w, m, denominator, alpha)

"""Functions of any operator applied to a vector, by Arnoldi's (or Lanczos's) basis, with gradients in closed form.

    A V_m = V_m H + h v_{m+1} e_m^T,   f(A) b = |b| V_{m+1} f(K) e_1,   K = [[H, 0], [h e_m^T, 0]],   error: |b| |f(K)|_{m+1,1}

With a second basis W, K' of the adjoint operator from the gradient g, the gradient at b is `|g| W f(K') e_1`, and the one at
A is `|b| |g| W M V^H` with M the upper right block of `f([[conj K', e_1 e_1^T], [0, K^T]])`. One set of scalars per group.

Second derivatives: the gradient G at theta, multiplied by w, is `<g, L_f(A, dA/dtheta w) b>`, a function of one operator of
twice the size (`WithDerivative`), whose gradients are again of this closed form; and so on for higher ones.

Reference: Saad (1992) SIAM J. Numer. Anal. 29, 209 (the error estimate); Higham (2008) Functions of Matrices, 3.2 (Frechet).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..operator import LinearOperator
from ..space import Space
from ..stacked import StackedSpace
from ..structure import rebind, requiring_grad
from .phi import PhiSum
from .with_derivative import WithDerivative, derivative_scale

_EVERY = 4  # products between two looks at the error


@dataclass(frozen=True, eq=False)
class Basis:
    """A Krylov basis and what the operator is in it.

    Args:
        vectors: `v_1 .. v_{m+1}`, orthonormal in every group (the last is zero if the space is invariant).
        size: `|b|`, `[groups]`.
        matrix: K, `[groups, m + 1, m + 1]`, in double precision on the CPU.
    """

    vectors: list[Tensor]
    size: Tensor
    matrix: Tensor

    @property
    def is_invariant(self) -> bool:
        """Whether nothing leaves the space, in any group: functions are then exact."""
        return not bool(self.matrix[:, -1].any())

    def weights(self, f: PhiSum) -> Tensor:
        """`f(K) e_1`, `[groups, m + 1]`."""
        return f.of_matrix(self.matrix)[..., 0]

    def error(self, f: PhiSum) -> Tensor:
        """The estimated error of `apply(f)`, `[groups]`."""
        return self.weights(f)[..., -1].abs() * self.size.double().cpu()

    def apply(self, f: PhiSum, space: Space) -> Tensor:
        """`f(A) b`."""
        return combined(self.vectors, self.weights(f).mT.to(self.vectors[0]) * self.size, space)


def krylov_basis(A: LinearOperator, b: Tensor, space: Space, f: PhiSum, tolerance: Tensor, most: int) -> Basis:
    """The basis of the smallest space (up to a multiple of 4) in which `f(A) b` meets the tolerance, or of dimension `most`.

    Args:
        tolerance: of the error, `[groups]`.
    """
    with torch.no_grad():
        b = b.detach()
        size = space.norm(b)
        vectors, columns = [b * space.spread(_inverse(size), b)], []
        top = torch.zeros_like(size)
        for k in range(1, most + 1):
            w = A.matvec(vectors[-1])
            before = space.norm(w)
            top = torch.maximum(top, before)
            first = max(0, k - 2) if A.symmetric else 0
            column, w = _orthogonalised(space, vectors[first:], w)
            height = space.norm(w)
            height = torch.where(height > 10 * torch.finfo(size.dtype).eps * top, height, 0.0)  # else: nothing new is left
            vectors.append(w * space.spread(_inverse(height), w))
            columns.append((first, torch.cat((column, height.to(column.dtype).unsqueeze(0)))))
            if k % _EVERY and k < most and k > 2:
                continue
            basis = Basis(vectors, size, _matrix(columns))
            if largest_ratio(basis.error(f), tolerance.double().cpu()) <= 1 or basis.is_invariant:
                break
        return basis


def krylov_functions(
    A: LinearOperator, space: Space, functions: Sequence[PhiSum], b: Tensor, basis: Basis, rtol: float, most: int
) -> Tensor:
    """`f_i(A) b`, `[functions, *state]`, from a basis made for them; gradients flow to b and to what A holds.

    Args:
        rtol: of the gradient, relative to the one that comes in.
        most: dimension of the bases of the backward pass.
    """
    with torch.no_grad():
        out = torch.stack([basis.apply(f, space) for f in functions])
    held = requiring_grad(A)
    if not (torch.is_grad_enabled() and (held or b.requires_grad)):
        return out
    rule = _Rule(A, space, tuple(functions), rtol, most, len(basis.vectors) - 1)
    return _Functions.apply(rule, out, b, *held)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class _Rule:
    A: LinearOperator
    space: Space
    functions: tuple[PhiSum, ...]
    rtol: float
    most: int
    dimension: int

    def left_bases(self, g: Tensor) -> list[Basis]:
        """Bases of the adjoint operator from the gradients at the outputs."""
        adjoint, norm = self.A.adjoint, self.space.norm
        return [
            krylov_basis(adjoint, part, self.space, f, self.rtol * norm(part.detach()), self.most)
            for f, part in zip(self.functions, g, strict=True)
        ]

    def of_pair(self, pair: WithDerivative, b: Tensor) -> Tensor:
        """`L_f(A, E) b` for every function, `[functions, *state]`."""
        space, start = StackedSpace(self.space), torch.stack([torch.zeros_like(b), b])
        most, hardest = 2 * self.most, self.functions[-1]
        basis = krylov_basis(pair, start, space, hardest, self.rtol * space.norm(start.detach()), most)
        return krylov_functions(pair, space, self.functions, start, basis, self.rtol, most)[:, 0]


class _Functions(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: _Rule, out: Tensor, b: Tensor, *held: Tensor) -> Tensor:
        ctx.rule = rule
        ctx.save_for_backward(b, *held)
        return out.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        b, *held = ctx.saved_tensors
        rule, space, needed = ctx.rule, ctx.rule.space, ctx.needs_input_grad
        wanted = [h for h, need in zip(held, needed[3:], strict=True) if need]
        bases, to_b = rule.left_bases(g), None
        if needed[2]:
            adjoint = rule.A.adjoint
            parts = [
                krylov_functions(adjoint, space, [f], part, basis, rule.rtol, rule.most)[0]
                for f, part, basis in zip(rule.functions, g, bases, strict=True)
            ]
            to_b = torch.stack(parts).sum(0)
        to_held: Any = ()
        if wanted:
            to_held = _HeldGradient.apply(rule, bases, b, g, *wanted)
        found = iter(to_held)
        return None, None, to_b, *(next(found) if need else None for need in needed[3:])


class _HeldGradient(torch.autograd.Function):
    """The gradient at what A holds, as a function of it, of b and of the gradient that comes in."""

    @staticmethod
    def forward(ctx: Any, rule: _Rule, bases: list[Basis], b: Tensor, g: Tensor, *held: Tensor) -> tuple[Tensor, ...]:
        ctx.rule = rule
        ctx.save_for_backward(b, g, *held)
        return tuple(_to_held(rule, b, list(held), bases))

    @staticmethod
    def backward(ctx: Any, *along: Tensor) -> Any:  # type: ignore[override]
        b, g, *held = ctx.saved_tensors
        rule, again = ctx.rule, torch.is_grad_enabled()
        with torch.enable_grad():
            if again:
                start, g, *leaves = (t.view_as(t) for t in (b, g, *held))
            else:
                start, *leaves = (t.detach().requires_grad_() for t in (b, *held))
                along = tuple(w.detach() for w in along)
            A = rebind(rule.A, held, leaves)
            scale = derivative_scale(A, tuple(leaves), along, start, rule.space.norm)
            pair = WithDerivative(A, tuple(leaves), tuple(w / scale for w in along))
            out = scale * rule.of_pair(pair, start)
            inputs = [t for t in (start, *leaves) if t.requires_grad]
            found = iter(torch.autograd.grad(out, inputs, g, create_graph=again, allow_unused=True))
        to_b, *to_held = [next(found) if t.requires_grad else None for t in (start, *leaves)]
        return None, None, to_b, out if again else out.detach(), *to_held


def _to_held(rule: _Rule, b: Tensor, held: list[Tensor], bases: list[Basis]) -> list[Tensor]:
    space = rule.space
    most = min(rule.most, rule.dimension)
    right = krylov_basis(rule.A, b, space, rule.functions[-1], torch.zeros_like(space.norm(b)), most)
    cotangents = [torch.zeros_like(b) for _ in right.vectors]
    for f, left in zip(rule.functions, bases, strict=True):
        block = _corner(f, left.matrix.conj(), right.matrix.mT)  # [groups, m', m]
        scale = left.size * right.size
        for q, cotangent in enumerate(cotangents):
            weights = block[..., q].conj().mT.to(b) * scale
            cotangent.add_(combined(left.vectors, weights, space))
    total = [torch.zeros_like(h) for h in held]
    for v, cotangent in zip(right.vectors, cotangents, strict=True):
        with torch.enable_grad():
            leaves = [h.detach().requires_grad_() for h in held]
            image = rebind(rule.A, held, leaves).matvec(v)
        parts = torch.autograd.grad(image, leaves, cotangent, allow_unused=True) if image.requires_grad else ()
        for t, part in zip(total, parts, strict=False):
            if part is not None:
                t.add_(part)
    return total


def _corner(f: PhiSum, left: Tensor, right: Tensor) -> Tensor:
    """The upper right block of `f([[left, e_1 e_1^T], [0, right]])`."""
    m, n = left.shape[-1], right.shape[-1]
    both = left.new_zeros((*left.shape[:-2], m + n, m + n))
    both[..., :m, :m], both[..., m:, m:] = left, right
    both[..., 0, m] = 1
    return f.of_matrix(both)[..., :m, m:]


def largest_ratio(error: Tensor, limit: Tensor) -> float:
    """The largest error over its limit, of all groups; infinite where the error is not finite, zero where it is zero."""
    ratio = torch.where(error == 0, torch.zeros_like(error), error / limit.clamp_min(torch.finfo(torch.float64).tiny))
    return float(torch.nan_to_num(ratio, nan=torch.inf).amax())


def combined(vectors: Sequence[Tensor], weights: Tensor, space: Space) -> Tensor:
    """`sum_i weights[i] vectors[i]`, the weights `[k, groups]`."""
    out = torch.zeros_like(vectors[0])
    for v, weight in zip(vectors, weights, strict=True):
        out.addcmul_(v, space.spread(weight, v))
    return out


def _matrix(columns: list[tuple[int, Tensor]]) -> Tensor:
    entries = [(first, c.detach().cpu()) for first, c in columns]
    kind = torch.complex128 if entries[0][1].is_complex() else torch.float64
    m, groups = len(entries), entries[0][1].shape[1]
    out = torch.zeros(groups, m + 1, m + 1, dtype=kind)
    for k, (first, column) in enumerate(entries):
        out[:, first : k + 2, k] = column.mT.to(kind)
    return out


def _orthogonalised(space: Space, vectors: list[Tensor], w: Tensor) -> tuple[Tensor, Tensor]:
    """Classical Gram-Schmidt, twice."""
    first = space.dot([(v, w) for v in vectors])
    w = w - combined(vectors, first, space)
    second = space.dot([(v, w) for v in vectors])
    return first + second, w - combined(vectors, second, space)


def _inverse(size: Tensor) -> Tensor:
    return torch.where(size > 0, size, torch.inf).reciprocal()

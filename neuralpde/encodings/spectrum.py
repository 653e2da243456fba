"""Eigenvectors of symmetric maps, the same on every run, none missed, with their signs fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

Array = NDArray[np.float64]
_SMALL = 400  # rows up to which all eigenvectors of the dense matrix are had in no time
_MORE = 4  # vectors that each search for missed ones looks for


def leading_eigenvectors(matrix: LinearOperator, k: int, seed: int) -> tuple[Array, Array]:
    """`(values [k], vectors [n, k])` of a symmetric map, by falling magnitude of the values.

    Small matrices are solved densely, others by Lanczos iteration to machine precision, from a start vector that `seed`
    draws. One start vector may see an eigenvalue that repeats only once, so what is found is taken out of the map and
    the rest is searched again, until it holds nothing larger. Vectors have length one and the signs of `fix_signs`.

    Raises:
        ValueError: the iteration does not converge.
    """
    n = matrix.shape[0]
    if n <= _SMALL or 3 * k >= n:
        dense = matrix @ np.eye(n)
        values, vectors = linalg.eigh((dense + dense.T) / 2)
    else:
        generator = np.random.default_rng(seed)
        values, vectors = _lanczos(matrix, k, generator)
        while True:
            more, others = _lanczos(_without(matrix, values, vectors), _MORE, generator)
            size = np.abs(values)
            larger = np.abs(more) > size.min() + 1e-10 * size.max()
            if not larger.any():
                break
            values, vectors = np.concatenate([values, more[larger]]), np.hstack([vectors, others[:, larger]])
            best = np.argsort(-np.abs(values), kind="stable")[:k]
            values, vectors = values[best], vectors[:, best]
    order = np.argsort(-np.abs(values), kind="stable")[:k]
    return values[order], fix_signs(vectors[:, order])


def fix_signs(vectors: Array) -> Array:
    """Columns times 1 or -1, so that in each the entry of largest magnitude is positive: of equal ones, the first.

    Numbering the nodes otherwise can flip a column only where entries tie (an odd mode of a symmetric graph).
    """
    size = np.abs(vectors)
    first = np.argmax(size >= size.max(axis=0, initial=0.0) * (1 - 1e-6), axis=0)
    return vectors * np.where(vectors[first, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)


def symmetric_map(n: int, matvec: Callable[[Array], Array]) -> LinearOperator:
    """A symmetric map `[n] -> [n]` of a function that takes `[n]` or `[n, columns]`."""
    of: Any = LinearOperator  # its stub knows no keywords
    return of((n, n), matvec=matvec, matmat=matvec, rmatvec=matvec, dtype=np.dtype(np.float64))


def _without(matrix: LinearOperator, values: Array, vectors: Array) -> LinearOperator:
    def rest(x: Array) -> Array:
        x = x.reshape(len(vectors), -1)
        return matrix @ x - vectors @ (values[:, None] * (vectors.T @ x))

    return symmetric_map(len(vectors), rest)


def _lanczos(matrix: LinearOperator, k: int, generator: np.random.Generator) -> tuple[Array, Array]:
    n = matrix.shape[0]
    try:
        start = generator.standard_normal(n)
        found: Any = eigsh(matrix, k, which="LM", v0=start, ncv=min(n, max(2 * k + 20, 40)), maxiter=100 * n)
    except ArpackNoConvergence as error:
        raise ValueError(f"{len(error.eigenvalues)} of {k} eigenvectors of {n} nodes found; ask for fewer") from error
    return found

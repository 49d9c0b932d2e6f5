"""Matrices of connections, dense (np.ndarray) or sparse (scipy's csr_array).

What a file holds as a dense weight stays dense; convolutions, pooling and delays of single
channels are sparse. Their column indices are sorted before another matrix shares them: scipy sorts
indices in place, and the values of only one of the two matrices would follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

#: np.ndarray or scipy.sparse.csr_array, (N, M).
Matrix = Any

DENSE_IDENTITY = 1 << 16  # an identity of more values is sparse


def is_sparse(matrix: Matrix) -> bool:
    """Return whether a matrix is sparse."""
    return sparse.issparse(matrix)


def values(matrix: Matrix) -> np.ndarray:
    """Return the stored values of a matrix: all of a dense one, any shape."""
    return matrix.data if is_sparse(matrix) else matrix


def stored(matrix: Matrix) -> int:
    """Return the number of stored values: N·M of a dense matrix."""
    return int(values(matrix).size)


def mapped(matrix: Matrix, function: Callable[[np.ndarray], np.ndarray]) -> Matrix:
    """Apply an elementwise function that maps 0 to 0.

    >>> mapped(np.array([[1.4, 0.0]]), np.round)
    array([[1., 0.]])
    """
    if not is_sparse(matrix):
        return function(matrix)
    matrix.sum_duplicates()
    data = function(matrix.data)
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def pruned(matrix: Matrix) -> Matrix:
    """Return a sparse matrix without stored zeros; a dense one as it is."""
    if not is_sparse(matrix):
        return matrix
    kept = matrix.copy()
    kept.eliminate_zeros()
    return kept


def identity(size: int) -> Matrix:
    """Return the identity matrix; sparse from 257 channels on."""
    return np.eye(size) if size * size <= DENSE_IDENTITY else sparse_identity(size)


def sparse_identity(size: int) -> Matrix:
    """Return the identity matrix, sparse at any size."""
    return sparse.csr_array(sparse.eye_array(size, format="csr"))


def scale_rows(factors: np.ndarray, matrix: Matrix) -> Matrix:
    """Multiply each row by its factor."""
    if is_sparse(matrix):
        matrix.sum_duplicates()
        repeated = np.repeat(factors, np.diff(matrix.indptr))
        data = repeated * matrix.data
        return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    return factors[:, None] * matrix


def added(a: Matrix, b: Matrix) -> Matrix:
    """Add two matrices; the sum is sparse if both are."""
    if is_sparse(a) and is_sparse(b):
        return sparse.csr_array(a + b)
    return dense(a) + dense(b)


def dense(matrix: Matrix) -> np.ndarray:
    """Return a matrix as np.ndarray."""
    return matrix.toarray() if is_sparse(matrix) else matrix


def product(a: Matrix, b: Matrix) -> Matrix:
    """Multiply two matrices.

    The product is sparse if both are, or if `b` is and has columns without values: these have no
    connections, while a zero in a dense `a` is a connection of weight 0.
    """
    if not is_sparse(b):
        return a @ b
    if is_sparse(a):
        return sparse.csr_array(a @ b)
    columns = np.unique(b.indices)
    found = a @ b
    if len(columns) == b.shape[1]:
        return found
    return _block(found, np.ones(len(found), bool), columns)


def product_size(a: Matrix, b: Matrix) -> int:
    """Return an upper bound of the number of values that `product` stores, without computing it."""
    if is_sparse(a) and is_sparse(b):
        return int(np.diff(b.indptr).astype(np.int64)[a.indices].sum())
    return a.shape[0] * b.shape[1]


def _block(matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Matrix:
    """Return a sparse matrix of the values in these rows (a mask) and columns, zeros included."""
    ends = np.concatenate([[0], np.cumsum(rows * len(columns))])
    parts = (matrix[rows][:, columns].ravel(), np.tile(columns, int(rows.sum())), ends)
    return sparse.csr_array(parts, shape=matrix.shape)


def row_sums_of_magnitudes(matrix: Matrix) -> np.ndarray:
    """Return Σ_j |matrix_ij|, (N,)."""
    return np.asarray(abs(matrix).sum(axis=1)).ravel()


def column_counts(matrix: Matrix) -> np.ndarray:
    """Return the number of values other than zero in each column, (M,) int64."""
    if is_sparse(matrix):
        return np.bincount(matrix.indices[matrix.data != 0], minlength=matrix.shape[1])
    return (matrix != 0).sum(0)


def rows_of(matrix: Matrix, rows: np.ndarray) -> Matrix:
    """Return the sparse matrix that has the connections of these rows, a mask (N,), only."""
    if not is_sparse(matrix):
        return _block(matrix, rows, np.arange(matrix.shape[1]))
    counts = np.diff(matrix.indptr)
    kept = np.repeat(rows, counts)
    ends = np.concatenate([[0], np.cumsum(counts * rows)])
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], ends), shape=matrix.shape)


def transposed(matrix: Matrix) -> Matrix:
    """Return the transposed matrix, as csr_array if it is sparse."""
    return sparse.csr_array(matrix.T.tocsr()) if is_sparse(matrix) else matrix.T


def times_columns(x: np.ndarray, columns_MN: Matrix) -> np.ndarray:
    """Return x·columns for whole numbers x (…, M), int64; its cost is that of the nonzero x."""
    flat = x.reshape(-1, x.shape[-1])
    places = np.flatnonzero(flat.view(bool) if flat.dtype == np.uint8 else flat != 0)
    rows, channels = np.divmod(places, flat.shape[1])
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(flat)))])
    events = flat.ravel()[places].astype(np.int64)
    active = sparse.csr_array((events, channels, starts), shape=flat.shape)
    return (active @ columns_MN).toarray().reshape(*x.shape[:-1], columns_MN.shape[1])


def times(x: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Return x·matrixᵀ for signals x (…, M), in the dtype of x.

    A sparse matrix costs what the values of x other than zero cost.
    """
    if not is_sparse(matrix):
        return x @ matrix.T.astype(x.dtype)
    flat = sparse.csr_array(x.reshape(-1, x.shape[-1]))
    weight = matrix.T.tocsr().astype(x.dtype)
    return (flat @ weight).toarray().reshape(*x.shape[:-1], matrix.shape[0])

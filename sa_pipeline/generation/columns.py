"""Columns of mask tables as arrays."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def integers(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """A column of integers without nulls as (N,) int64."""
    return np.asarray(table[name].to_numpy()).astype(np.int64)


def floats(table: pa.Table, name: str) -> npt.NDArray[np.float32]:
    """A column of float32 without nulls as (N,) float32."""
    return np.asarray(table[name].to_numpy()).astype(np.float32)


def boxes(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """A column of integer lists of one length L, such as boxes and sizes, as (N, L) int64."""
    length = table.schema.field(name).type.list_size
    flat = table[name].combine_chunks().flatten() if table.num_rows else pa.array([], pa.int64())
    return np.asarray(flat.to_numpy(zero_copy_only=False)).astype(np.int64).reshape(-1, length)

"""What the content digest of a table is taken over, the same when the table is written and when it is read again."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_READERS_KEY = b"PARQUET:field_id"
"""Added to the metadata of a column by Parquet's reader."""


def content_bytes(table: pa.Table, schema: pa.Schema) -> pa.Buffer:
    """A row group as an Arrow IPC stream; equal rows give equal bytes.

    What lies in memory beneath a null is no part of a row, and Parquet does not keep it; it counts as
    zero, and the items of a null list as null.

    Args:
        table: Rows with exactly the columns of `schema`.
        schema: The asset's columns.
    """
    settled = [_settled(column.combine_chunks()) for column in table.cast(schema).columns]
    plain = schema.remove_metadata()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain) as stream:
        stream.write_table(pa.table(settled, schema=plain))
    return sink.getvalue()


def schema_as_written(schema: pa.Schema) -> pa.Schema:
    """The columns that a table was written with, descriptions included, from those that Parquet's reader gives."""
    return pa.schema([_field_as_written(field) for field in schema])


def _field_as_written(field: pa.Field) -> pa.Field:
    dtype = field.type
    if pa.types.is_fixed_size_list(dtype) or pa.types.is_list(dtype):
        # Parquet calls the items of a list "element" where Arrow calls them "item".
        items = _field_as_written(dtype.value_field).with_name("item")
        dtype = pa.list_(items, dtype.list_size if pa.types.is_fixed_size_list(dtype) else -1)
    elif pa.types.is_struct(dtype):
        dtype = pa.struct([_field_as_written(dtype.field(index)) for index in range(dtype.num_fields)])
    metadata = {key: value for key, value in (field.metadata or {}).items() if key != _READERS_KEY}
    return pa.field(field.name, dtype, field.nullable, metadata or None)


def _settled(column: pa.Array) -> pa.Array:
    if column.null_count == 0:
        return column
    valid = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    if pa.types.is_fixed_size_list(column.type):
        length = column.type.list_size
        filled = np.zeros((len(column), length), column.type.value_type.to_pandas_dtype())
        filled[valid] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, length)
        values = pa.array(filled.ravel(), column.type.value_type, mask=np.repeat(~valid, length))
        return pa.Array.from_buffers(column.type, len(column), [bitmap], children=[values])
    as_text = pa.types.is_string(column.type) or pa.types.is_binary(column.type)
    kept = pc.fill_null(column, pa.scalar("" if as_text else 0).cast(column.type))
    return pa.Array.from_buffers(column.type, len(column), [bitmap, *kept.buffers()[1:]])

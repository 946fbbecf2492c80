"""A shop's table, whatever its file format, row by row: each row becomes a record or is told of."""

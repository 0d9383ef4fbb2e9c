"""The DuckDB catalogue of a dataset: schema, build, canned views."""

"""Runs and shards for Prometheus: a process of its own reads them from Dagster's instance and the files' headers."""

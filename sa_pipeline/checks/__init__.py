"""Dagster asset checks, one module per asset that is checked."""

"""Tests of the Dagster asset checks."""

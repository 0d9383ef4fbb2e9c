"""Tests of the metrics of runs and shards."""

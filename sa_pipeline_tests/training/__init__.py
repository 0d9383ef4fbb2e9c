"""Tests of sa_pipeline.training."""

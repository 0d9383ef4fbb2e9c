"""Tests of sa_pipeline.assets."""

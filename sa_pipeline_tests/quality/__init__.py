"""Tests of sa_pipeline.quality."""

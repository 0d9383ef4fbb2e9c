"""Tests of sa_pipeline.studio."""

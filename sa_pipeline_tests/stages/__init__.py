"""Tests of sa_pipeline.stages."""

"""Tests of sa_pipeline.privacy."""

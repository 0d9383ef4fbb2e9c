"""Tests of sa_pipeline.sam."""

"""Tests of the mathematics of masks."""

"""Tests of the box detector."""

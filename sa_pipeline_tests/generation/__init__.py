"""Tests of the automatic stage."""

"""Tests of the SA-1B record format."""

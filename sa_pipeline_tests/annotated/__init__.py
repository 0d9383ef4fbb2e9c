"""Tests of the readers of annotated images."""

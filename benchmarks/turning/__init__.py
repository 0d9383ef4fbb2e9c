"""Turning the circle of annotation and retraining without people: what `benchmarks/circle.py` is made of."""

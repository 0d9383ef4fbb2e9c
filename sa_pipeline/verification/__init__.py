"""Checking a whole dataset, or the exports alone: every digest, record and count (`sa-pipeline verify`)."""

"""The annotation studio: people and SAM on the same picture (paper §4, the first two stages)."""

"""Segment Anything models: checkpoints and their registry, encoder and decoder calls, the built-in tiny model."""

"""A box detector with the one class 'object': where things are, before SAM says what belongs to them (paper §4)."""

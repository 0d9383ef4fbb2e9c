"""Simulated people for the annotation studio: they know the right masks, and work as the guidelines ask people to."""

"""The verifier of automatic masks."""

"""Faces and licence plates: finding them, and blurring them for good (paper §5, "Images")."""

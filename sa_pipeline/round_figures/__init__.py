"""How an annotation round went: what people did in it, how fast, how alike, and what came of it (paper §4)."""

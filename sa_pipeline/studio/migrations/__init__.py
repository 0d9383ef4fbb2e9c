"""Alembic's migrations of the studio's database, one module per step."""

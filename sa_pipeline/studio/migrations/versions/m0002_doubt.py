"""The verifier's doubt of a mask."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Goes one step forward."""
    comment = "probability that the mask it began with is wrong; null: not judged, or changed since"
    op.add_column("objects", sa.Column("doubt", sa.Double(), nullable=True, comment=comment))


def downgrade() -> None:
    """Goes one step back."""
    op.drop_column("objects", "doubt")

"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Goes one step forward."""
    op.create_table(
        "annotators",
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("annotator_id", name=op.f("pk_annotators")),
        sa.UniqueConstraint("name", name=op.f("uq_annotators_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_annotators_token_hash")),
    )
    op.create_table(
        "rounds",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("stage", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False, comment="open or closed"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("pilot_tasks", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rounds")),
    )
    op.create_table(
        "sessions",
        sa.Column("session_hash", sa.String(length=64), nullable=False),
        sa.Column("csrf_token", sa.String(length=100), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotators.annotator_id"], name=op.f("fk_sessions_annotator_id")),
        sa.PrimaryKeyConstraint("session_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_annotator_id"), "sessions", ["annotator_id"])
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"])

    op.create_table(
        "tasks",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("round", sa.String(length=200), nullable=False),
        sa.Column("stage", sa.String(length=40), nullable=False),
        sa.Column("image_id", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.String(length=40), nullable=False),
        sa.Column("replica", sa.Integer(), server_default="0", nullable=False, comment="0 for the first person's"),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False, comment="lowest first"),
        sa.Column("pilot", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.String(length=40), server_default="open", nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=True, comment="whose it is: who saved in it first"),
        sa.Column("reviewer_id", sa.Integer(), nullable=True, comment="who decided last"),
        sa.Column("holder_id", sa.Integer(), nullable=True, comment="who was given it, maybe long ago"),
        sa.Column("lease_token", sa.String(length=100), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column(
            "closed_by_token",
            sa.String(length=100),
            nullable=True,
            comment="lease that the last finish, skip, review or release ended",
        ),
        sa.Column("closed_as", sa.String(length=40), nullable=True, comment="which of these it was"),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False, comment="number of events"),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column(
            "checkpoint_digest", sa.String(length=64), nullable=True, comment="of the embedding when the task was made"
        ),
        sa.Column(
            "masks", sa.Integer(), server_default="0", nullable=False, comment="objects with pixels, not deleted"
        ),
        sa.Column("active_seconds", sa.Double(), server_default="0", nullable=False),
        sa.Column("first_review", sa.String(length=40), nullable=True, comment="accepted or sent_back"),
        sa.Column("review_comment", sa.Text(), server_default="", nullable=False),
        sa.Column("skip_reason", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("reviewed_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotators.annotator_id"], name=op.f("fk_tasks_annotator_id")),
        sa.ForeignKeyConstraint(["holder_id"], ["annotators.annotator_id"], name=op.f("fk_tasks_holder_id")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["annotators.annotator_id"], name=op.f("fk_tasks_reviewer_id")),
        sa.ForeignKeyConstraint(["round"], ["rounds.name"], name=op.f("fk_tasks_round")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_tasks")),
        sa.UniqueConstraint("round", "image_id", "replica", name=op.f("uq_tasks_round_image_id_replica")),
    )
    op.create_index(op.f("ix_tasks_annotator_id_state"), "tasks", ["annotator_id", "state"])
    op.create_index(op.f("ix_tasks_holder_id"), "tasks", ["holder_id"])
    op.create_index(op.f("ix_tasks_image_id"), "tasks", ["image_id"])
    waiting = sa.text("state = 'open' AND annotator_id IS NULL")
    op.create_index(
        "ix_tasks_queue",
        "tasks",
        ["round", "pilot", "priority", "task_id"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index(op.f("ix_tasks_round_state"), "tasks", ["round", "state"])

    op.create_table(
        "events",
        sa.Column("op_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="of the task after it"),
        sa.Column("annotator_id", sa.Integer(), nullable=True, comment="null: the pipeline"),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("tool", sa.String(length=40), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False, comment="an ObjectState"),
        sa.Column("at", sa.Double(), nullable=False, comment="the client's clock"),
        sa.Column("active_seconds", sa.Double(), server_default="0", nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotators.annotator_id"], name=op.f("fk_events_annotator_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name=op.f("fk_events_task_id")),
        sa.PrimaryKeyConstraint("op_id", name=op.f("pk_events")),
        sa.UniqueConstraint("task_id", "version", name=op.f("uq_events_task_id_version")),
    )
    op.create_index(op.f("ix_events_annotator_id_received_at"), "events", ["annotator_id", "received_at"])

    op.create_table(
        "guideline_cases",
        sa.Column("case_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["annotators.annotator_id"], name=op.f("fk_guideline_cases_author_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name=op.f("fk_guideline_cases_task_id")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_guideline_cases")),
    )
    op.create_index(op.f("ix_guideline_cases_task_id"), "guideline_cases", ["task_id"])

    op.create_table(
        "objects",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.String(length=200), server_default="", nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("unnameable", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("prominence", sa.Integer(), server_default="0", nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("source_mask_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "counts",
            sa.Text(),
            nullable=True,
            comment="COCO compressed run lengths; the size is the task's; null: nothing painted",
        ),
        sa.Column("area", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "bbox",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="XYWH; width is x_max - x_min of foreground pixels",
        ),
        sa.Column("prompts", sa.JSON(), nullable=False),
        sa.Column("predicted_iou", sa.Double(), nullable=True, comment="of the prompts"),
        sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("made_version", sa.Integer(), nullable=False, comment="version of the task when it was made"),
        sa.Column("version", sa.Integer(), nullable=False, comment="version of the task when it was changed last"),
        sa.Column("made_by", sa.Integer(), nullable=True, comment="null: the pipeline"),
        sa.Column("changed_by", sa.Integer(), nullable=True, comment="null: nobody but the pipeline"),
        sa.ForeignKeyConstraint(["changed_by"], ["annotators.annotator_id"], name=op.f("fk_objects_changed_by")),
        sa.ForeignKeyConstraint(["made_by"], ["annotators.annotator_id"], name=op.f("fk_objects_made_by")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name=op.f("fk_objects_task_id")),
        sa.PrimaryKeyConstraint("task_id", "object_id", name=op.f("pk_objects")),
    )
    op.create_index(op.f("ix_objects_label"), "objects", ["label"])

    op.create_table(
        "pins",
        sa.Column("pin_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("resolved_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["author_id"], ["annotators.annotator_id"], name=op.f("fk_pins_author_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name=op.f("fk_pins_task_id")),
        sa.PrimaryKeyConstraint("pin_id", name=op.f("pk_pins")),
    )
    op.create_index(op.f("ix_pins_task_id"), "pins", ["task_id"])

    op.create_table(
        "task_refusals",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["annotators.annotator_id"], name=op.f("fk_task_refusals_annotator_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name=op.f("fk_task_refusals_task_id")),
        sa.PrimaryKeyConstraint("task_id", "annotator_id", name=op.f("pk_task_refusals")),
        comment="a person gave the task back and is not to be given it again",
    )


def downgrade() -> None:
    """Goes one step back."""
    op.drop_table("task_refusals")

    op.drop_table("pins")

    op.drop_table("objects")

    op.drop_table("guideline_cases")

    op.drop_table("events")

    op.drop_table("tasks")

    op.drop_table("sessions")
    op.drop_table("rounds")
    op.drop_table("annotators")

"""The studio's tables, for SQLite and PostgreSQL alike.

A change here needs a migration (`sa_pipeline/studio/migrations`); a test compares the two. Times are seconds since 1970
(UTC), areas and boxes are px of the task's image, and words such as states and roles are those of
`sa_pipeline.studio.models`.
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_NAME = sa.String(200)
_WORD = sa.String(40)
_DIGEST = sa.String(64)

annotators = sa.Table(
    "annotators",
    metadata,
    sa.Column("annotator_id", sa.Integer, primary_key=True),
    sa.Column("name", _NAME, nullable=False, unique=True),
    sa.Column("role", _WORD, nullable=False),
    sa.Column("token_hash", _DIGEST, nullable=False, unique=True),
    sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("created_at", sa.Double, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("session_hash", _DIGEST, primary_key=True),
    sa.Column("csrf_token", sa.String(100), nullable=False),
    sa.Column("annotator_id", sa.ForeignKey("annotators.annotator_id"), nullable=False, index=True),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
)

rounds = sa.Table(
    "rounds",
    metadata,
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("stage", _WORD, nullable=False),
    sa.Column("state", _WORD, nullable=False, comment="open or closed"),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("pilot_tasks", sa.Integer, nullable=False, server_default="0"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("task_id", sa.Integer, primary_key=True),
    sa.Column("round", sa.ForeignKey("rounds.name"), nullable=False),
    sa.Column("stage", _WORD, nullable=False),
    sa.Column("image_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("shard", _WORD, nullable=False),
    sa.Column("replica", sa.Integer, nullable=False, server_default="0", comment="0 for the first person's"),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0", comment="lowest first"),
    sa.Column("pilot", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("state", _WORD, nullable=False, server_default="open"),
    sa.Column("annotator_id", sa.ForeignKey("annotators.annotator_id"), comment="whose it is: who saved in it first"),
    sa.Column("reviewer_id", sa.ForeignKey("annotators.annotator_id"), comment="who decided last"),
    sa.Column("holder_id", sa.ForeignKey("annotators.annotator_id"), comment="who was given it, maybe long ago"),
    sa.Column("lease_token", sa.String(100)),
    sa.Column("lease_until", sa.Double),
    sa.Column("closed_by_token", sa.String(100), comment="lease that the last finish, skip, review or release ended"),
    sa.Column("closed_as", _WORD, comment="which of these it was"),
    sa.Column("version", sa.Integer, nullable=False, server_default="0", comment="number of events"),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("file_name", _NAME, nullable=False),
    sa.Column("checkpoint_digest", _DIGEST, comment="of the embedding when the task was made"),
    sa.Column("masks", sa.Integer, nullable=False, server_default="0", comment="objects with pixels, not deleted"),
    sa.Column("active_seconds", sa.Double, nullable=False, server_default="0"),
    sa.Column("first_review", _WORD, comment="accepted or sent_back"),
    sa.Column("review_comment", sa.Text, nullable=False, server_default=""),
    sa.Column("skip_reason", _NAME),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("reviewed_at", sa.Double),
    sa.UniqueConstraint("round", "image_id", "replica"),
    # The queue: what nobody has begun, in the order of handing out.
    sa.Index(
        "ix_tasks_queue",
        "round",
        "pilot",
        "priority",
        "task_id",
        sqlite_where=sa.text("state = 'open' AND annotator_id IS NULL"),
        postgresql_where=sa.text("state = 'open' AND annotator_id IS NULL"),
    ),
    sa.Index("ix_tasks_round_state", "round", "state"),
    sa.Index("ix_tasks_annotator_id_state", "annotator_id", "state"),
    sa.Index("ix_tasks_holder_id", "holder_id"),
)

task_refusals = sa.Table(
    "task_refusals",
    metadata,
    sa.Column("task_id", sa.ForeignKey("tasks.task_id"), primary_key=True),
    sa.Column("annotator_id", sa.ForeignKey("annotators.annotator_id"), primary_key=True),
    comment="a person gave the task back and is not to be given it again",
)

objects = sa.Table(
    "objects",
    metadata,
    sa.Column("task_id", sa.ForeignKey("tasks.task_id"), primary_key=True),
    sa.Column("object_id", sa.Uuid, primary_key=True),
    sa.Column("label", _NAME, nullable=False, server_default="", index=True),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("unnameable", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("prominence", sa.Integer, nullable=False, server_default="0"),
    sa.Column("source", _WORD, nullable=False),
    sa.Column("source_mask_id", sa.BigInteger),
    sa.Column("counts", sa.Text, comment="COCO compressed run lengths; the size is the task's; null: nothing painted"),
    sa.Column("area", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bbox", sa.JSON(none_as_null=True), comment="XYWH; width is x_max - x_min of foreground pixels"),
    sa.Column("prompts", sa.JSON, nullable=False),
    sa.Column("predicted_iou", sa.Double, comment="of the prompts"),
    sa.Column(
        "doubt",
        sa.Double,
        comment="probability that the mask it began with is wrong; null: not judged, or changed since",
    ),
    sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("made_version", sa.Integer, nullable=False, comment="version of the task when it was made"),
    sa.Column("version", sa.Integer, nullable=False, comment="version of the task when it was changed last"),
    sa.Column("made_by", sa.ForeignKey("annotators.annotator_id"), comment="null: the pipeline"),
    sa.Column("changed_by", sa.ForeignKey("annotators.annotator_id"), comment="null: nobody but the pipeline"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("op_id", sa.Uuid, primary_key=True),
    sa.Column("task_id", sa.ForeignKey("tasks.task_id"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False, comment="of the task after it"),
    sa.Column("annotator_id", sa.ForeignKey("annotators.annotator_id"), comment="null: the pipeline"),
    sa.Column("object_id", sa.Uuid, nullable=False),
    sa.Column("tool", _WORD, nullable=False),
    sa.Column("state", sa.JSON, nullable=False, comment="an ObjectState"),
    sa.Column("at", sa.Double, nullable=False, comment="the client's clock"),
    sa.Column("active_seconds", sa.Double, nullable=False, server_default="0"),
    sa.Column("received_at", sa.Double, nullable=False),
    sa.UniqueConstraint("task_id", "version"),
    sa.Index("ix_events_annotator_id_received_at", "annotator_id", "received_at"),
)

pins = sa.Table(
    "pins",
    metadata,
    sa.Column("pin_id", sa.Integer, primary_key=True),
    sa.Column("task_id", sa.ForeignKey("tasks.task_id"), nullable=False, index=True),
    sa.Column("author_id", sa.ForeignKey("annotators.annotator_id"), nullable=False),
    sa.Column("x", sa.Double, nullable=False),
    sa.Column("y", sa.Double, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("object_id", sa.Uuid),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("resolved_at", sa.Double),
)

guideline_cases = sa.Table(
    "guideline_cases",
    metadata,
    sa.Column("case_id", sa.Integer, primary_key=True),
    sa.Column("task_id", sa.ForeignKey("tasks.task_id"), nullable=False, index=True),
    sa.Column("author_id", sa.ForeignKey("annotators.annotator_id"), nullable=False),
    sa.Column("x", sa.Double, nullable=False),
    sa.Column("y", sa.Double, nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
)

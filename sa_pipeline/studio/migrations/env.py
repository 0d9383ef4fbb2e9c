"""Run by Alembic: migrates the connection that `sa_pipeline.studio.migrating` hands over."""

from alembic import context

from sa_pipeline.studio.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table only by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

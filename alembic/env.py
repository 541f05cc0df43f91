"""Runs the migrations on the connection that `ark_broker.log.schema` hands over."""

from alembic import context

from ark_broker.log.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=False,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()

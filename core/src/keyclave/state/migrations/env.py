"""Alembic's entry: runs the revisions on the connection that `keyclave.state.upgrade` passes, in one transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], transactional_ddl=True, transaction_per_migration=False
)
with context.begin_transaction():
    context.run_migrations()

"""Plans a deployment without changing anything: the layout of tables, and typed steps with reasons."""

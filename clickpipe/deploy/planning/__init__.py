"""What a deployment will do, before it does anything: the layout of tables, and typed steps with their reasons."""

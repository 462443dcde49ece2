"""Two deployments side by side: rows passed on between them, and workspaces that begin as a copy of another."""

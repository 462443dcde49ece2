"""Two deployments side by side: forwarding rows between them, and workspaces cloned from another."""

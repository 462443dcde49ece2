"""Projects to start from, and what starts each with the broker or bucket that it reads from."""

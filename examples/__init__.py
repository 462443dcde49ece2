"""Projects to start from: each module starts one, with the broker or bucket that it reads from."""

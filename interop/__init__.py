"""The published clients against a server of ours, each in an environment of its own: `make interop`."""

"""Rows that are there already, put into new tables while new rows arrive."""

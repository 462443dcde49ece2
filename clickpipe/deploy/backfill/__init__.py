"""Fills new tables with existing rows while new rows arrive."""

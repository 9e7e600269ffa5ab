"""Synthetic worlds through the same pure functions that decide in the daemon."""

"""Ending trials that are hopeless or fall behind."""

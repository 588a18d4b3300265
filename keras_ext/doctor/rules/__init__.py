"""Rules: pure functions from records to findings, one problem each."""

"""Rules: pure functions from history to findings, one problem each."""

"""Ready searches on the public API: `python -m tuning digits`."""

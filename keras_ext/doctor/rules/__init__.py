"""Rules: pure functions from history to findings, one problem each.

Each file describes its thresholds in `CONDITIONS`, one condition a line.
`docs/threshold_table.py` writes them to docs/doctor.md.
"""

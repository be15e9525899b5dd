"""What a call costs: ratios to a bare pass-through of the same run. See `python -m bench --help`."""

"""What a call costs: CPU and latency of the gateway as ratios to a bare pass-through of the same run. See `python -m bench --help`."""

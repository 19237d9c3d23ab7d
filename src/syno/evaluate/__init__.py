"""Data sets, models, training and latency: what a candidate is measured by."""

"""Benchmarks, run as `keras-frcnn bench NAME`."""

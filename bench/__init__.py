"""Benchmarks: each figure is a ratio to a named baseline measured in the same run, in turns, because machines drift."""

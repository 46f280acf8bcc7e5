"""Benchmarks against the peers and against the bare limit.

Each row is one case and one peer: the median of five runs of each side, taken in turn, every run a fresh process on the
same interpreter with the same event loop. In the link cases that process starts three more: A, which measures, a switch
and B. Ratios count, absolute figures do not: a ratio above 1 means that ours is
better, whichever way the unit points.
"""

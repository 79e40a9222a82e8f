"""The sections of bench.py: each module has `rows(rounds, small)`, the lines of its table."""

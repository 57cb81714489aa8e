"""Benchmarks: each a command that prints a table and, with --json FILE, writes its figures."""

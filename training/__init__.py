"""Learns: data, losses, stages, evaluation. Offline; uses the model, never the worker."""

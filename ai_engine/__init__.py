"""Sees and says: the unified model, and the worker that takes jobs from the queue."""

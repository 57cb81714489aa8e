"""Training data: projected and sliced CTs with exact truth, and the reports that follow from it."""

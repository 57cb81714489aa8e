"""The queue's worker: takes a job, reads the study, stores the results."""

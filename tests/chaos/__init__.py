"""The proof that nothing is lost and nothing is read twice: every process is killed at random moments while studies come in."""

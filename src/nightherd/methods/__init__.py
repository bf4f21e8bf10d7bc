"""The run's own record, and answers about methods."""

"""Putting workers' branches together: who conflicts with whom, and in which order they are merged."""

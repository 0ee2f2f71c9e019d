"""The append-only event log of a run, and the state folded from it."""

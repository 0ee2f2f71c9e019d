"""One run: which task may start, the slots, the deadlines, and the façade over it."""

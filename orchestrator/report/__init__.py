"""What came of a run, as JSON, as text and as a page."""

"""HTML renderers."""

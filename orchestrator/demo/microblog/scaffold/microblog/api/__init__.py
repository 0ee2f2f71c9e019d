"""WSGI handlers, found by `microblog.app`."""

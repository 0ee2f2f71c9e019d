"""A small blogging platform."""

"""Processes: starting them inside a shim, reading them to the end, stopping whole trees."""

"""Makespan: how long N workers of equal length take, and what starting and watching them costs."""

"""The user's rules: what an agent may do without asking."""

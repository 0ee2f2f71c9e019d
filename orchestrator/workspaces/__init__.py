"""A worker's private checkout, its branch and its environment."""

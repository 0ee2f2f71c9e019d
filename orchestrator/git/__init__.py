"""Every git call there is."""

"""The words of the product as frozen data. No I/O, no imports from above."""

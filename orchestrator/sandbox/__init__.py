"""The boundary around an attempt's processes: what they may see, write and reach, and proof that it holds."""

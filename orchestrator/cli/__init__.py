"""The command line: reads events, sends commands; no logic of its own."""

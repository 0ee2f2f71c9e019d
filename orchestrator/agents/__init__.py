"""One small adapter per kind of coding-agent program."""

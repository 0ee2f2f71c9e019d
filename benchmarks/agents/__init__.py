"""What the product adds to an agent's bare command line: start-up, processor time, memory."""

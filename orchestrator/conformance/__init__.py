"""The conformance kit: a scripted model server on loopback, and cases that every agent adapter must pass."""

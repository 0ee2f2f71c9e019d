"""The scripted demo agent's program and the MicroBlog project it builds."""

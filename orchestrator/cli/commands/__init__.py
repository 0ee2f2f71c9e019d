"""One module per subcommand, named after it; each is imported only when it is called."""

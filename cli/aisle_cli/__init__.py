"""The shell command `aisle`: subcommands that load what they need when they are called."""

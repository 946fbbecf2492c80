"""The subcommands of `aisle` that train: each loads what it needs when it is called."""

"""Compiles PyTorch models for Tandem: what `tandem export` is, and `python -m tandem_export`."""


def main():
    """The command line."""
    # Late: `python -m` imports this package before the module that it runs.
    from tandem_export import command_line

    command_line.main()

"""Where `zai-proxy` begins. Most of a command's first second is imports, in which Ctrl-C has nothing to tidy up."""

from extproc.interrupts import AT_ONCE, interrupts


def main() -> None:
    """Entry point."""
    with interrupts(AT_ONCE):
        from extproc import cli
    cli.main()


if __name__ == "__main__":
    main()

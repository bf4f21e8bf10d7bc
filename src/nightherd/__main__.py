"""`python -m nightherd` is the `nightherd` command."""

from nightherd.cli.app import main

if __name__ == "__main__":
    main()

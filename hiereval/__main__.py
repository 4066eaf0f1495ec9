"""`python -m hiereval`: the command, where its script is not on the path."""

from hiereval.cli import main

if __name__ == "__main__":
    main()

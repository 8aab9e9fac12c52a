"""`python -m duetal`: the command line, as `torchrun -m duetal` starts it."""

from duetal.cli.main import main

if __name__ == "__main__":
    main()

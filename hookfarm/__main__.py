"""`python -m hookfarm`, the same as the command `hookfarm`."""

from hookfarm.cli.main import main

if __name__ == "__main__":
    main()

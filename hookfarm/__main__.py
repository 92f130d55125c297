"""`python -m hookfarm`, equivalent to the command `hookfarm`."""

from hookfarm.cli.main import main

if __name__ == "__main__":
    main()

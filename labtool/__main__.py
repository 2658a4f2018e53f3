"""`python -m labtool` is `labtool`."""

from labtool.cli.main import main

if __name__ == "__main__":
    main()

"""``python -m keyclave`` is the program ``keyclave``."""

from keyclave.cli import main

if __name__ == "__main__":
    main()

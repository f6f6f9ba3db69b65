"""``python -m fastsmtp``: the same as the command ``fastsmtp``."""

from fastsmtp.cli.main import main

if __name__ == "__main__":
    main()

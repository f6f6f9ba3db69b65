"""``python -m fastsmtp.sendmail``: the same as the command ``sendmail``."""

from fastsmtp.sendmail.main import sendmail

if __name__ == "__main__":
    sendmail()

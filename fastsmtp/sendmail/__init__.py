"""sendmail(1), mailq(1) and newaliases(1), as programs of a Unix machine expect them; docs/sendmail.md.

Started thousands of times a day: what is not needed for a message is not imported.
"""

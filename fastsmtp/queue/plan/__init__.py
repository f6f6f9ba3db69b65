"""When and where mail is tried: pure decisions without I/O, threads or a clock; docs/queue.md.

`clock` counts the time that has passed; `retry` says when one mail is due again and when it expires; `window` keeps
the next due ones in memory; `site` holds what is known of one destination, `board` chooses among all of them within
the limits that `room` counts; `outcome` says what a reply means for a site; `owner` gives each site to one worker.
"""

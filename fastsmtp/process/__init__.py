"""The processes: a master that holds sockets and children, workers that do everything else (app.py joins it)."""

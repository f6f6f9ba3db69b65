"""The processes: a master that holds sockets and children, and workers that do everything else."""

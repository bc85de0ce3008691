"""Files from people (添付): looked at by a scanner, taken apart and made anew in a process that may do nothing else."""

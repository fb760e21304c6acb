"""Data sets, a family a file: each registers its data sets, and every experiment of their roles takes them up."""

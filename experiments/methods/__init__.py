"""Methods, a family a file: each registers its methods, and every experiment of their roles takes them up."""

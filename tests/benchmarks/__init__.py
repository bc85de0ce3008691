"""`make bench`: the product's figures, each as a ratio to a reference measured in the same run."""

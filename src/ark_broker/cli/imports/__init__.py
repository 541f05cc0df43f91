"""What `ark-broker import` works with: readers of the old broker's files and tables, and the run that stores them."""

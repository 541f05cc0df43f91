"""`ark-broker …`: the command line."""

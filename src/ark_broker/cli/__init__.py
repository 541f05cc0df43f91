"""The `ark-broker` command."""

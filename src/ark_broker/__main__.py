"""`python -m ark_broker` is `ark-broker`."""

from ark_broker.cli.main import app

if __name__ == "__main__":
    app(prog_name="ark-broker")

"""The surface that Ark's controllers, executors and dashboards already call."""

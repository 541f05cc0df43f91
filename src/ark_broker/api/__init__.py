"""HTTP: one module a resource. `v1/` is ours, `ark/` the surface that Ark's programs already call."""

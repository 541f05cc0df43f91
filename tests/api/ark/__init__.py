"""The surface of Ark's own broker, route by route, as its clients have always known it."""

"""Who a bearer token belongs to, and what that allows. Imports `model` alone."""

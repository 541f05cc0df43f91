"""The real instrumentation libraries against the broker: what each of them sends, and what the broker makes of it.

`python -m tests.conformance.families` (or `make conformance`) runs each program in `producers` in an environment of its
own, with `model_server` in place of the model's API, and prints a table of families and canonical fields. With
`--capture` it also keeps what they sent, scrubbed, in `tests/fixtures/families`, which the offline tests read.
"""

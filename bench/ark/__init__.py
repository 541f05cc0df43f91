"""Ark's stress profile against a broker on PostgreSQL: `make bench-ark`.

parent ── starts ──► ark-broker serve ── PostgreSQL
       ── starts ──► emitter process: what controllers and executors send
       ── starts ──► reader process: what dashboards and command lines watch
       ── then ────► reads back what was stored, and compares
"""

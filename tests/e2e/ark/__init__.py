"""Ark's own clients, re-created from what they send and expect, as processes of their own against a real broker.

    ark_api        the proxy that everything a user sees goes through
    go_executor    controller and executor in Go: events, messages, one long POST of chunks a query, spans, clean-up
    sdk_executor   an executor on the Python SDK: every chunk a POST of its own
    dashboard      the tabs of the dashboard's Broker page, and its chat

Each is started once and told what to do over its standard input (`remote`).
"""

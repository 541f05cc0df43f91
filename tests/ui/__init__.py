"""The dashboard in a browser: Playwright on Chromium, against real brokers. `make e2e` runs it."""

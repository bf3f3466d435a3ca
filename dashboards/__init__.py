"""Grafana dashboards, written in typed Python and committed as JSON (`python -m dashboards`)."""

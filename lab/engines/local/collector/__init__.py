"""The collector: a process that scrapes every target once a second and keeps the samples.

`python -m lab.engines.local.collector`; orders and answers are listed in `__main__`. The names,
labels and times of its samples are those that Prometheus and its exporters give on the Docker
engine, so that claims and charts need not know which engine ran.
"""

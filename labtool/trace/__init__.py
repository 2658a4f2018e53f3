"""Captures understood.

`analysis.analyse(paths)` reads and judges; `story.ladder_of_analysis` and `ladder.draw` show it,
`report.report` gives it to programs; `pcap.write` makes a capture of what a tap saw.
"""

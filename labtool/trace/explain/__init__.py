"""Every line of a message, explained where it stands.

`lines.Explainer(analysis).lines(message)` gives the lines with remarks; `texts.render` says a remark
in a language, `texts.source` names the RFC. What is said is decided here from the capture; how it
is said stands in the tables `english` and `chinese`.
"""

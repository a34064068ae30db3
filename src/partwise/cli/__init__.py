"""The command line: one module a verb, in the order of the pipeline.

In: words and files. Out: a table, or with `--json` the record itself; an exit code. Never: a decision that
the six functions of `partwise.api` do not make.
"""

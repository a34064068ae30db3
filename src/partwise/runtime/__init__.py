"""Run a package: tasks to engines, values between them, and a record of what ran.

In: a `Package` and inputs. Out: a `Run`. Never: a decision about where to cut; tensor bytes in a pickle.
"""

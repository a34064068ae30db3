"""Which task runs when and where, and what happens when something fails: a state machine without clock or process.

An event goes in, instructions come out; an executor obeys them in their order and reports what happens as the next
event. The same machine runs under every executor.

    event                        what may follow
    ──────────────────────────   ─────────────────────────────────────────────────────────────────────
    (begin)                      Start and Load for each worker · Wake
    (open)                       Fetch
    Offered(request) · Ended     Compute for each stage that needs model inputs alone · Fetch
    Loaded(worker, stage)        Compute of what waited for it
    Finished(ticket)             Collect · Release · Compute · Answer · Fetch; Discard if it came too late
    Failed(ticket)               Wake, then Compute again · Load on the CPU · Divide · GiveUp
    Lost(worker)                 Start and Load in its place · Compute of its tasks elsewhere
    Refused(worker, stage)       Load again, elsewhere or on the CPU · Divide · Abandon
    Woke(elapsed_s)              Ping · Stop of a silent or late worker, then as Lost · Compute · Start
    Joined(worker)               Load of what nobody has
    Divided · Indivisible        Load of the pieces · Compute · GiveUp · Abandon

A request is one run of the model; a task is one stage applied to one request; a ticket is one attempt at a task. At
most `in_flight` requests are between `Offered` and `Answer`, so memory is bounded however long the stream; answers
come in the order of the requests. A worker has at most `queue` tasks, so that one that ends finds the next beside it.
Tasks of early requests go first. A value is released once, when no task can want it any more.
"""

from partwise.runtime.schedule.capacity import Capacity, Demand, assign
from partwise.runtime.schedule.events import (
    Divided,
    Ended,
    Event,
    Failed,
    Fault,
    Finished,
    Heard,
    Indivisible,
    Joined,
    Loaded,
    Lost,
    Offered,
    Refused,
    Woke,
)
from partwise.runtime.schedule.grid import format_grid
from partwise.runtime.schedule.instructions import (
    Abandon,
    Answer,
    Collect,
    Compute,
    Discard,
    Divide,
    Fetch,
    GiveUp,
    Instruction,
    Load,
    Ping,
    Release,
    Start,
    Stop,
    Unload,
    Wake,
)
from partwise.runtime.schedule.policy import Policy
from partwise.runtime.schedule.schedule import Schedule
from partwise.runtime.schedule.story import Incident, Step, Story, told

__all__ = [
    "Abandon", "Answer", "Capacity", "Collect", "Compute", "Demand", "Discard", "Divide", "Divided", "Ended", "Event",
    "Failed", "Fault", "Fetch", "Finished", "GiveUp", "Heard", "Incident", "Indivisible", "Instruction", "Joined",
    "Load", "Loaded", "Lost", "Offered", "Ping", "Policy", "Refused", "Release", "Schedule", "Start", "Step", "Stop",
    "Story", "Unload", "Wake", "Woke", "assign", "format_grid", "told",
]  # fmt: skip

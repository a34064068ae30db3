"""Which stage runs which microbatch when: schedules as data, what they take, and how many microbatches are best.

In: a number of stages, or a `Plan` with its times. Out: a `Schedule`, a `Timeline`, a `Prediction`.
Never: a clock, a process, a value; the runtime executes what is written here.
"""

from partwise.planning.schedule.check import Fault, faults
from partwise.planning.schedule.choose import BatchChoice, MicrobatchChoice, best_batch, best_microbatches, plan_batch
from partwise.planning.schedule.formula import Prediction, latency, makespan, makespan_range, period, predict
from partwise.planning.schedule.record import Pass, Schedule, ScheduleKind, Task, make_schedule
from partwise.planning.schedule.simulate import simulate
from partwise.planning.schedule.text import check_schedule, format_schedule, parse_schedule, show_schedule
from partwise.planning.schedule.timeline import Slot, Timeline
from partwise.planning.schedule.times import PassTimes, StageTimes, even_times, stage_times, times_of_plan

__all__ = [
    "BatchChoice",
    "Fault",
    "MicrobatchChoice",
    "Pass",
    "PassTimes",
    "Prediction",
    "Schedule",
    "ScheduleKind",
    "Slot",
    "StageTimes",
    "Task",
    "Timeline",
    "best_batch",
    "best_microbatches",
    "check_schedule",
    "even_times",
    "faults",
    "format_schedule",
    "latency",
    "make_schedule",
    "makespan",
    "makespan_range",
    "parse_schedule",
    "period",
    "plan_batch",
    "predict",
    "show_schedule",
    "simulate",
    "stage_times",
    "times_of_plan",
]

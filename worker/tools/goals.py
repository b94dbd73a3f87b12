"""Which tools a call has: decided by `call_goal`, here and nowhere else."""

from __future__ import annotations

from app.domain.calls import CallGoal
from worker.tools.appointments import CHECK_AVAILABILITY, SCHEDULE_APPOINTMENT
from worker.tools.registry import Tool

TOOLS: dict[CallGoal, tuple[Tool, ...]] = {
    CallGoal.APPOINTMENT: (CHECK_AVAILABILITY, SCHEDULE_APPOINTMENT),
    CallGoal.MESSAGE: (),
}

"""How long work takes in simulated time, as data: given, or fitted to what a real run measured."""

from __future__ import annotations

from edri_sim.service.calibration import calibrate
from edri_sim.service.fitting import Fit, Fitted, fit
from edri_sim.service.model import (
    Constant,
    Costs,
    Distribution,
    Empirical,
    Exponential,
    LogNormal,
    Service,
    ServiceTable,
    as_distribution,
    check_amount,
)

__all__ = [
    "Constant", "Costs", "Distribution", "Empirical", "Exponential", "Fit", "Fitted", "LogNormal", "Service",
    "ServiceTable", "as_distribution", "calibrate", "check_amount", "fit",
]  # fmt: skip

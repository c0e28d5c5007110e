"""For all tests: the signals that their children inherit, and how hard Hypothesis tries.

The examples are the same in every run. HYPOTHESIS_PROFILE=thorough asks for new ones, and for many more; it is what
.github/workflows/nightly.yaml runs.
"""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, Phase, settings

# A shell starts what runs in the background with these ignored, and every child of a test would inherit that: the
# program would not be interrupted, as it is elsewhere.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

_PATIENT = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

# Explaining a failure takes minutes, and the examples here explain themselves.
_PHASES = [Phase.explicit, Phase.generate, Phase.shrink]

settings.register_profile(
    "same", max_examples=150, deadline=None, derandomize=True, phases=_PHASES, suppress_health_check=_PATIENT
)
settings.register_profile("thorough", max_examples=5000, deadline=None, print_blob=True, suppress_health_check=_PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

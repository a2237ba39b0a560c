"""Little stories that a drawn schedule tells too rarely, or that no oracle can judge."""

from collections.abc import Callable

from proofs.mutants.scenes.ageing import AGEING
from proofs.mutants.scenes.bounded import BOUNDED
from proofs.mutants.scenes.clearing import CLEARING
from proofs.mutants.scenes.fencing import FENCING
from proofs.mutants.scenes.holding import HOLDING
from proofs.mutants.scenes.plain import PLAIN
from proofs.mutants.scenes.retiring import RETIRING
from proofs.mutants.scenes.serving import SERVING
from proofs.mutants.scenes.taking_over import TAKING_OVER

SCENES: dict[str, Callable[[], object]] = {
    **PLAIN,
    **FENCING,
    **AGEING,
    **SERVING,
    **TAKING_OVER,
    **BOUNDED,
    **RETIRING,
    **CLEARING,
    **HOLDING,
}

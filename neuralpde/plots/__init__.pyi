from .animate import animate as animate
from .diagnosis import diagnosis as diagnosis
from .energies import energies as energies
from .series import series as series
from .snapshot import snapshot as snapshot
from .training import training as training
from .work_precision import work_precision as work_precision

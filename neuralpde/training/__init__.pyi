from .checkpoint import load as load
from .checkpoint import save as save
from .config import FitConfig as FitConfig
from .evaluate import evaluate as evaluate
from .fit import fit as fit
from .history import Epoch as Epoch
from .history import History as History
from .seeds import seeded as seeded

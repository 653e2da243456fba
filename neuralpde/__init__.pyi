from . import datasets as datasets
from . import models as models
from . import monitors as monitors
from . import operators as operators
from . import pdes as pdes
from . import plots as plots
from . import training as training
from .errors import CheckpointError as CheckpointError
from .errors import DataMissing as DataMissing
from .errors import GraphError as GraphError
from .errors import NeuralPDEError as NeuralPDEError
from .graph import Graph as Graph
from .graph import as_graph as as_graph
from .graph_check import relabel as relabel
from .monitors.base import Monitor as Monitor
from .monitors.base import Observable as Observable
from .pdes.base import GraphPDE as GraphPDE
from .simulate import Simulation as Simulation
from .simulate import simulate as simulate

__version__: str

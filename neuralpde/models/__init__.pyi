from .baselines import GCN as GCN
from .baselines import MLP as MLP
from .block import PDEBlock as PDEBlock
from .encoder import Decoder as Decoder
from .encoder import Encoder as Encoder
from .graph_model import GraphClassifier as GraphClassifier
from .node_classifier import NodeClassifier as NodeClassifier
from .node_classifier import Trajectory as Trajectory
